"""A run folder: how it is begun, gone on with and finished."""
