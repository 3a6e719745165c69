"""What a person sees while a sweep runs."""

import io
import os
import re

import pytest

from circlemnist.sweep.plan import Axis, Plan
from circlemnist.sweep.run import SweepProgress


class Terminal(io.StringIO):
    """A terminal, whose width is asked for by number."""

    def fileno(self) -> int:
        return 2


def test_bar_is_of_the_cells_from_its_first_frame_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 40)))
    said: list[str] = []
    plan = Plan({}, (Axis("m", (0.1, 0.2, 0.3, 0.4)),), (0,), None, "eer")
    progress = SweepProgress("bar", plan, [], said.append)
    progress.show(0)
    progress.cell("m=0.1 seed=0", 0.0123, 2.0, 1)
    progress.note("look out")
    # the cells that were there before took no time of this bar
    assert terminal.getvalue().split("\r")[-1].rstrip().endswith("00:00<?")
    progress.cell("m=0.2 seed=0", 0.0456, 2.0, 2)
    frames = [frame for frame in re.split(r"[\r\n]+", terminal.getvalue()) if frame.strip()]
    assert all(frame.startswith("cell ") for frame in frames)
    counts = [int(frame.split("/")[0].removeprefix("cell ")) for frame in frames]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 2)
    assert "best eer 1.23" in frames[-1]
    assert said == ["look out"]
    progress.close()
    assert terminal.getvalue().split("\r")[-1].strip() == ""
