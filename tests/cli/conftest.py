"""What the tests of the command line share."""

import fcntl
import json
import os
import pty
import struct
import sys
import termios
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from circlemnist.cli.main import main


def metrics_of(run: Path) -> dict[str, float]:
    """The metrics that a run keeps."""
    metrics: dict[str, float] = json.loads((run / "eval.json").read_text())["metrics"]
    return metrics


def on_terminal(columns: int, monkeypatch: pytest.MonkeyPatch, *args: str) -> str:
    """What the command line shows on a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    shown = b""

    def read() -> None:
        nonlocal shown
        with suppress(OSError):  # Linux reports the end of a terminal as an error
            while chunk := os.read(ours, 4096):
                shown += chunk

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        for stream in ("stdout", "stderr"):
            patch.setattr(sys, stream, terminal)
        main(args, standalone_mode=False)
    reader.join()
    os.close(ours)
    return shown.decode()
