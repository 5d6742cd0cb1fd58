"""A page on which anyone sees where a network looks."""

from payattention.studio.serving import launch

__all__ = ["launch"]
