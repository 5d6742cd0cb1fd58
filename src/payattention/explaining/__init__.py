"""Where a model looks: in one picture, and in a folder of them."""
