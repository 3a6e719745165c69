"""What a person sees while a run trains: a bar on a terminal, a line an epoch, or nothing."""

import os
import re
import sys
from dataclasses import replace

import pytest
import torch
from tqdm import notebook

from circlemnist.config import Config
from circlemnist.runs.history import Epoch
from circlemnist.training.progress import Mode, Progress, mode_for
from tests.conftest import Terminal

CONFIG = Config(epochs=7, batch_size=100)
ROW = Epoch(3, 2.34567, 0.91234, -0.12345, 0.19, 0.0123456, 4.26)
VALUES = torch.tensor([1.234, 0.5678, -0.1234, 0.19])


@pytest.mark.parametrize("mode", ["bar", "lines"])
def test_epoch_is_a_line_that_stays(mode: Mode, capsys: pytest.CaptureFixture[str]) -> None:
    Progress(mode, CONFIG, 1050).epoch(ROW)
    out = capsys.readouterr().out
    assert out == "epoch 3/7  loss 2.346  s_p 0.912 ↑  s_n -0.123 ↓  violating 19 %  4.3 s\n"


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
        os.close(reader)
        if show == "note":
            progress.note("look out")
        elif show == "step":
            progress.step(1, 1, VALUES, 0.1)
        else:
            progress.epoch(ROW)
            progress.close()
            assert progress.bar is None
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("epochs", "width", "text"),
    [
        (7, 40, " 33 % 2:21 s_p .568 s_n −.123"),
        (300, 40, " 1 % s_p .568 s_n −.123"),
        (7, 50, " 33 % 2:21 s_p .568 s_n −.123"),
        (7, 80, " 33 % 2:21 left  s_p .568 ↑  s_n −.123 ↓  violating 19 %"),
        (7, 120, " 33 % 2:21 left  s_p .568 ↑  s_n −.123 ↓  violating 19 %  loss 1.23"),
    ],
)
def test_bar_shows_as_much_as_the_terminal_has_room_for(
    epochs: int, width: int, text: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 23 steps of ten an epoch, the last ten in half a minute; then the bar goes away."""
    monkeypatch.setattr("circlemnist.training.progress.REFRESH", 0)
    sent = terminal(width)
    progress = Progress("bar", Config(epochs=epochs, batch_size=100), 1050)
    progress.step(2, 3, VALUES, 0.01)
    assert progress.bar is not None
    progress.bar.start_t -= 30
    progress.step(3, 3, VALUES, 0.01)
    line = sent().split("\r")[-1]
    assert len(line) == width - 1  # tqdm leaves the last column free
    match = re.fullmatch(f"3/{epochs} (━*)(─+){re.escape(text)}", line)
    assert match is not None
    share = len(match[1]) / len(match[1] + match[2])
    assert share == pytest.approx(23 / (10 * epochs), abs=0.2)
    progress.close()
    *_, gone, rest = sent().split("\r")
    assert (gone.strip(), rest) == ("", "")


def test_bar_is_shown_five_times_a_second_and_makes_room_for_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("circlemnist.training.progress.time.monotonic", lambda: now[0])
    sent = terminal(80)
    progress = Progress("bar", CONFIG, 1050)
    progress.step(2, 3, VALUES, 0.01)
    assert progress.bar is not None
    assert (progress.bar.total, progress.bar.n) == (70, 13)
    now[0] += 0.1
    progress.step(2, 4, VALUES, 0.01)
    assert progress.bar.n == 13
    now[0] += 0.15
    progress.step(2, 5, VALUES, 0.01)
    assert progress.bar.n == 15
    assert "2/7 ━" in sent()
    progress.note("look out")
    assert sent().split("\r")[-2:] == ["look out", "\n"]
    progress.epoch(ROW)
    assert progress.bar.n == 30
    assert sent().split("\r")[-1] == ""


def test_bar_of_a_notebook_is_one_widget_for_all_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar of tqdm's that is closed before its end would stay, in red."""
    monkeypatch.setattr("circlemnist.training.progress.REFRESH", 0)
    monkeypatch.setattr("circlemnist.training.progress.tqdm", notebook.tqdm)
    progress = Progress("bar", Config(epochs=2, batch_size=100), 1050)
    bars = []
    for epoch in (1, 2):
        progress.step(epoch, 4, VALUES, 0.01)
        bars.append(bar := progress.bar)
        assert bar is not None
        words, widget, _ = bar.container.children
        assert (widget.value, widget.max) == (10 * epoch - 6, 20)
        assert words.value.startswith(f"{epoch}/2")
        progress.epoch(replace(ROW, epoch=epoch))
        assert widget.value == 10 * epoch
    assert bars[0] is bars[1]
    progress.close()
    assert widget.bar_style != "danger"
    assert progress.bar is None


def test_mode_is_lines_where_standard_error_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert (mode_for(quiet=False), mode_for(quiet=True)) == ("lines", "quiet")
