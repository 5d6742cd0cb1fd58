"""Trained maps beside post-hoc ones and trivial ones, by every metric."""
