"""What sets look like on the disk: one reader a layout."""
