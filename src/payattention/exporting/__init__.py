"""A model as one file that other programs run: ONNX, or PyTorch's own; in float32 or int8."""
