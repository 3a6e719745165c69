"""The embedding space to walk through in a browser: one HTML file that needs no network."""

from circlemnist.plots.explorer.page import explorer_html
from circlemnist.plots.explorer.views import Frames

__all__ = ["Frames", "explorer_html"]
