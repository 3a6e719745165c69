"""Files shown in the program for their kind."""

import os
import sys
from pathlib import Path

import click

from circlemnist.cli.messages import say


def show_in(place: str, path: Path) -> None:
    """Open a file in the program for its kind, or say that there is no `place` for it."""
    if not (has_display() and click.launch(str(path)) == 0):
        say(f"there is no {place} it in: open {path} yourself")


def has_display() -> bool:
    """Tell whether a window can open; only Linux and its like say so in the environment."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
