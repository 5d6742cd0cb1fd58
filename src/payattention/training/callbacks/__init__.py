"""What happens around a training step: metrics, snapshots, TensorBoard, sheets, averages, a check of the numbers."""
