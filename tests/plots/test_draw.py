"""Pictures as files, in every format, and what `plot` says of wishes that cannot be."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from circlemnist.plots.draw import draw_group_pictures
from circlemnist.plots.kinds import KINDS, SIDE_BY_SIDE, STILL
from circlemnist.plots.style import DARK, Style
from tests.conftest import assert_one_line_error, invoke
from tests.plots.figures import groups_of, make_run

STILLS = [name for name, kind in KINDS.items() if kind.formats == STILL]


@pytest.mark.slow
def test_all_kinds_are_written_into_the_run(watched_run: Path) -> None:
    assert (watched_run / "plots" / "embedding.png").exists()  # at the end of the training
    dark = ("--projection", "pca", "--theme", "dark")
    result = invoke("plot", watched_run, "--kind", "all", *dark)
    assert result.exit_code == 0, result.output
    written = {path.name for path in (watched_run / "plots").iterdir()}
    pictures = {f"{kind}-dark.png" for kind in STILLS if kind != "embedding"}
    assert pictures | {"embedding-pca-dark.png"} <= written
    movie = Image.open(watched_run / "plots" / "animation-pca-dark.gif")
    assert movie.n_frames >= 60
    first = np.asarray(movie.convert("RGB"))
    movie.seek(59)
    assert (np.asarray(movie.convert("RGB")) != first).any()


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_picture_is_written_in_the_format_of_its_name(
    suffix: str, start: bytes, run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "new folder" / f"picture{suffix}"
    width = ("--width", 321) if suffix == ".png" else ()
    result = invoke("plot", run, "--kind", "confusion", *width, "--out", path)
    assert (result.exit_code, result.output) == (0, f"picture: {path}\n")
    assert path.read_bytes().startswith(start)
    assert list(path.parent.iterdir()) == [path]
    if suffix == ".svg":
        assert "gamma 17" in path.read_text("utf-8")
    if suffix == ".png":
        picture = Image.open(path).convert("RGB")
        assert picture.width == 321
        assert picture.getpixel((0, 0)) == (255, 255, 255)  # the paper


def test_pictures_side_by_side_are_files_of_the_width_asked_for(tmp_path: Path) -> None:
    style, folder = Style(DARK, "pca", width=SIDE_BY_SIDE), tmp_path / "pictures"
    paths = list(draw_group_pictures(groups_of(tmp_path, 2), ["history"], style, folder))
    assert paths == [folder / "history-dark.png"]
    assert Image.open(paths[0]).width == SIDE_BY_SIDE


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--kind all --out a.png", "--out takes one picture"),
        ("--kind circle --kind history --out a.png", "--out takes one picture"),
        ("--kind animation --out a.png", "a.png: the name must end in .gif"),
        ("--kind circle --out a.gif", "a.gif: the name must end in .png, .svg, .pdf"),
        ("--kind circle --out picture", "picture: the name must end in .png, .svg, .pdf"),
        ("--kind circle --out a.PNG.txt", "a.PNG.txt: the name must end in .png, .svg, .pdf"),
        ("--kind circle --out /proc/none/a.png", "cannot write /proc/none/a.png"),
        ("--kind cirle", "did you mean 'circle'"),
        ("--width 20", "200<=x<=10000"),
        # even where the value is the default one
        (
            "--projection tsne --kind neighbors --kind neighbors --kind circle",
            "--projection has no effect with --kind neighbors --kind circle (see circlemnist plot",
        ),
        ("--kind circle --loss arcface", "--loss has no effect with --kind circle"),
        ("--width 1200 --out a.svg", "--width has no effect with --out a.svg"),
        ("--kind circle --out new/a.PDF --width 300", "--width has no effect with --out new/a.PDF"),
    ],
)
def test_wrong_wishes_are_one_line(args: str, words: str, run: Path) -> None:
    assert_one_line_error(invoke("plot", run, *args.split()), words)


def test_animation_without_snapshots_is_one_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run").run.folder
    result = invoke("plot", run, "--kind", "animation")
    assert_one_line_error(result, "no snapshots", "--snapshots")
