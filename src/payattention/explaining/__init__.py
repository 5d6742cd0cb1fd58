"""Where a model looks: in one picture, in a folder of them, and in a corpus."""
