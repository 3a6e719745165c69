"""The picture that moves."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import assert_one_line_error, invoke


@pytest.mark.slow
def test_animation_moves_every_point(watched_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "space.gif"
    result = invoke("plot", watched_run, "--kind", "animation", "--width", 300, "--out", out)
    assert result.exit_code == 0, result.output
    movie = Image.open(out)
    assert movie.width == 300
    assert movie.n_frames >= 60
    first = np.asarray(movie.convert("RGB"))
    movie.seek(59)
    assert (np.asarray(movie.convert("RGB")) != first).any()


def test_animation_without_snapshots_is_one_line(finished_run: Path) -> None:
    result = invoke("plot", finished_run, "--kind", "animation")
    assert_one_line_error(result, "no snapshots", "--snapshots")
