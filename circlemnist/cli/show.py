"""Files shown in the program for their kind."""

import os
import sys
from pathlib import Path

import click

from circlemnist.cli.messages import say


def show_in(place: str, path: Path) -> None:
    """Open a file in the program for its kind, or say that there is no `place` for it."""
    # only Linux and its like say in the environment whether a window can open
    screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}
    if not (screen and click.launch(str(path)) == 0):
        say(f"there is no {place} it in: open {path} yourself")
