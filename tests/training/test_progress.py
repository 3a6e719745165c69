"""What a person sees while a run trains: a bar on a terminal, a line an epoch, or nothing."""

import io
import os
import re
import sys

import pytest
import torch
from tqdm import notebook, tqdm

from circlemnist.config import Config
from circlemnist.runs.history import Epoch
from circlemnist.training.progress import Mode, Progress, mode_for

CONFIG = Config(epochs=7, batch_size=100)
ROW = Epoch(3, 2.34567, 0.91234, -0.12345, 0.5, 0.0123456, 4.26)
VALUES = torch.tensor([1.234, 0.5678, -0.1234, 0.5])


@pytest.mark.parametrize("mode", ["bar", "lines"])
def test_epoch_is_a_line_that_stays(mode: Mode, capsys: pytest.CaptureFixture[str]) -> None:
    Progress(mode, CONFIG, 1050).epoch(ROW)
    out = capsys.readouterr().out
    assert out == "epoch 3/7  loss 2.346  s_p 0.912  s_n -0.123  lr 0.01235  4.3 s\n"


def test_lines_show_no_steps_and_quiet_shows_warnings_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Progress("lines", CONFIG, 1050).step(1, 1, VALUES, 0.1)
    printed: list[str] = []
    progress = Progress("quiet", CONFIG, 1050, printed.append)
    progress.step(1, 1, VALUES, 0.1)
    progress.epoch(ROW)
    progress.note("look out")
    assert printed == ["look out"]
    assert capsys.readouterr() == ("", "")
    Progress("bar", CONFIG, 1050).note("look out")
    assert capsys.readouterr() == ("", "look out\n")


@pytest.mark.parametrize("show", ["note", "step", "epoch", "epoch after step"])
def test_reader_may_have_gone(show: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a pipe that buffers what is written until it is flushed, or closed."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as both:
        monkeypatch.setattr("sys.stdout", both)
        monkeypatch.setattr("sys.stderr", both)
        progress = Progress("bar", CONFIG, 1050)
        if show == "epoch after step":
            progress.step(1, 1, VALUES, 0.1)
            assert progress.bar is not None
        os.close(reader)
        if show == "note":
            progress.note("look out")
        elif show == "step":
            progress.step(1, 1, VALUES, 0.1)
        else:
            progress.epoch(ROW)
            assert progress.bar is None
        monkeypatch.undo()


def test_bar_counts_the_images_that_fill_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten batches of 100 out of 1,050 images; at most five times a second."""
    now = [100.0]
    monkeypatch.setattr("circlemnist.training.progress.time.monotonic", lambda: now[0])
    progress = Progress("bar", CONFIG, 1050)
    progress.step(2, 3, VALUES, 0.01)
    assert progress.bar is not None
    assert (progress.bar.total, progress.bar.n) == (1000, 300)
    shown = progress.bar.bar_format
    assert shown.startswith("epoch 2/7 batch 3/10 |{bar}| loss 1.23 s_p 0.568 s_n -0.123 lr 0.0100")
    assert shown.endswith(" 0 images/s")
    now[0] += 0.1
    progress.step(2, 4, VALUES, 0.01)
    assert progress.bar.n == 300
    now[0] += 0.15
    progress.step(2, 5, VALUES, 0.01)
    assert progress.bar.n == 500
    progress.close()
    assert progress.bar is None
    progress.close()


class Terminal(io.StringIO):
    """What a terminal is sent; its width is asked for by number."""

    def fileno(self) -> int:
        return 2


def test_bar_is_as_wide_as_the_terminal_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step that is due is seen at once, however short the time since the last one was."""
    monkeypatch.setattr("circlemnist.training.progress.REFRESH", 0)
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    progress = Progress("bar", CONFIG, 1050)
    left = tqdm(total=1, file=io.StringIO())  # another bar does not move it down
    for step, width in ((1, 120), (2, 150)):
        size = os.terminal_size((width + 1, 40))  # tqdm leaves the last column free
        monkeypatch.setattr(os, "get_terminal_size", lambda _, size=size: size)
        progress.step(1, step, VALUES, 0.01)
        shown = terminal.getvalue().split("\r")[-1]
        assert f"batch {step}/10" in shown
        assert len(shown) == width
    assert not re.search(r"\d%|it/s", terminal.getvalue())  # nor is tqdm's own bar seen
    progress.close()
    left.close()
    *_, gone, end = terminal.getvalue().split("\r")
    assert (gone.strip(), end) == ("", "")


def test_bar_of_a_notebook_is_one_widget_for_all_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar of tqdm's that is closed before its end would stay, in red."""
    monkeypatch.setattr("circlemnist.training.progress.REFRESH", 0)
    monkeypatch.setattr("circlemnist.training.progress.tqdm", notebook.tqdm)
    monkeypatch.setattr("circlemnist.training.progress.IN_NOTEBOOK", True)
    progress = Progress("bar", CONFIG, 1050)
    bars = []
    for epoch in (1, 2):
        progress.step(epoch, 4, VALUES, 0.01)
        bars.append(bar := progress.bar)
        assert bar is not None
        words, widget, _ = bar.container.children
        assert (widget.value, widget.max) == (400, 1000)
        assert words.value.split("\u2007")[:2] == ["epoch", f"{epoch}/7"]
        progress.epoch(ROW)
        assert widget.value == 1000
    assert bars[0] is bars[1]
    progress.close()
    assert widget.bar_style != "danger"
    assert progress.bar is None


def test_mode_is_lines_where_standard_error_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert (mode_for(quiet=False), mode_for(quiet=True)) == ("lines", "quiet")
