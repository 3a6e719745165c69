"""What a person sees while a sweep runs."""

import re

import pytest

from circlemnist.sweep.plan import Axis, Plan
from circlemnist.sweep.run import SweepProgress
from tests.conftest import Terminal


@pytest.mark.parametrize("width", [40, 80])
def test_bar_is_of_the_cells_from_its_first_frame_on(width: int, terminal: Terminal) -> None:
    sent = terminal(width)
    said: list[str] = []
    plan = Plan({}, (Axis("m", (0.1, 0.2, 0.3, 0.4)),), (0,), None, "eer")
    progress = SweepProgress("bar", plan, [0.0234], said.append)
    progress.show(1)
    shown = sent()
    # the cell that was there before took no time of this bar
    assert shown.split("\r")[-1].rstrip().endswith("? left  best eer 2.34")
    progress.cell("m=0.2 seed=0", 0.0123, 2)
    progress.note("look out")
    shown += sent()
    frames = [frame for frame in re.split(r"[\r\n]+", shown) if frame.strip()]
    assert {len(frame) for frame in frames} == {width - 1}
    counts = [int(frame.split("/")[0]) for frame in frames]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 2)
    assert frames[-1].endswith(" left  best eer 1.23")
    assert said == ["look out"]
    progress.close()
    assert sent().split("\r")[-1].strip() == ""
