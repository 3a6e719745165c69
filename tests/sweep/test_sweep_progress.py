"""What a person sees while a sweep runs."""

import io
import os
import re

import pytest

from circlemnist.sweep.progress import SweepProgress


class Terminal(io.StringIO):
    """What a terminal is sent; its width is asked for by number."""

    def fileno(self) -> int:
        return 2


def test_bar_is_of_the_cells_from_its_first_frame_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 40)))
    said: list[str] = []
    progress = SweepProgress("bar", 4, [], "eer", said.append)
    progress.cell("m=0.1 seed=0", 0.0123, 2.0)
    progress.note("look out")
    progress.cell("m=0.2 seed=0", 0.0456, 2.0)
    frames = [frame for frame in re.split(r"[\r\n]+", terminal.getvalue()) if frame.strip()]
    assert all(frame.startswith("cell ") for frame in frames)
    counts = [int(frame.split("/")[0].removeprefix("cell ")) for frame in frames]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 2)
    assert "best eer 1.23" in frames[-1]
    assert said == ["look out"]
    progress.close()
    assert terminal.getvalue().split("\r")[-1].strip() == ""


def test_cells_that_need_not_be_trained_again_count_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Told how many there are in all, as often as it may be."""
    progress = SweepProgress("lines", 6, [], "eer", print)
    for count in (0, 2, 2, 3):
        progress.repeats(count)
    progress.cell("m=0.1 seed=0", 0.0123, 2.0)
    assert capsys.readouterr().out.startswith("4/6  m=0.1")


def test_time_that_is_left_is_told_by_the_cells_that_it_has_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that were there before took no time of this bar."""
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 40)))
    progress = SweepProgress("bar", 4, [], "1nn", print)
    progress.cell("m=0.1 seed=0", 0.9, 2.0)
    progress.note("look out")
    assert terminal.getvalue().split("\r")[-1].rstrip().endswith("00:00<?")
    progress.close()
