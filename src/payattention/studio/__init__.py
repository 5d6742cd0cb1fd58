"""A page on which anyone sees where a network looks."""
