"""The embedding space to walk through in a browser: one HTML file that needs no network."""

from circlemnist.explorer.page import Frames, explorer_html

__all__ = ["Frames", "explorer_html"]
