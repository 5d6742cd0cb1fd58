"""One picture: reading it, whatever it is, and drawing on it."""
