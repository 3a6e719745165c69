"""The embedding space to walk through in a browser: one HTML file that needs no network."""

from circlemnist.explorer.page import explorer_html
from circlemnist.explorer.views import Frames

__all__ = ["Frames", "explorer_html"]
