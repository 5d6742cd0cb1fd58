"""The card of a model that is passed on: what it is, how it came to be, what it is for and what it cannot do."""
