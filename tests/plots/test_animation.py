"""The picture that moves."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from PIL import Image

from circlemnist.plots.animation import animation_movie
from circlemnist.plots.points import Points
from tests.conftest import assert_one_line_error, invoke
from tests.plots.figures import DIGITS, TITLED


def test_movie_goes_from_the_first_time_to_the_last() -> None:
    times = np.random.default_rng(0).normal(size=(5, 30, 3))
    captions = ["before training", *(f"epoch {t}" for t in range(1, 5))]
    movie = animation_movie(Points(times, np.arange(30) % 10, DIGITS), captions, *TITLED)
    (axes,) = movie.figure.axes
    (dots,) = (each for each in axes.collections if isinstance(each, PathCollection))
    for frame, time in ((0, 0), (movie.frames - 1, 4)):
        movie.show(frame)
        np.testing.assert_allclose(dots.get_offsets(), times[time, :, :2])
        assert axes.texts[0].get_text() == captions[time]
    movie.show(movie.frames // 2 + 1)
    halfway = np.asarray(dots.get_offsets())
    assert all((halfway != times[time, :, :2]).any() for time in range(5))


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
