"""Where trained weights come from, and where they go to."""
