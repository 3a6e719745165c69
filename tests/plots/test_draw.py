"""Pictures as files, in every format, and what `plot` says of wishes that cannot be."""

import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from circlemnist.plots.draw import draw_group_pictures
from circlemnist.plots.kinds import KINDS, SIDE_BY_SIDE, STILL
from circlemnist.plots.style import DARK, Style
from tests.cli.conftest import on_terminal
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


@pytest.mark.slow
def test_all_kinds_of_a_run_without_snapshots_are_the_still_ones(tmp_path: Path) -> None:
    """Each named by its kind, and by what is not the default."""
    run = make_run(tmp_path / "run").run
    names = [f"{kind}-pca" if kind == "embedding" else kind for kind in STILLS]
    for theme, suffix in (("light", ".png"), ("dark", "-dark.png")):
        wishes = ("--projection", "pca", "--theme", theme, "--width", 300)
        result = invoke("plot", run.folder, "--kind", "all", *wishes)
        paths = [run.plots / f"{name}{suffix}" for name in names]
        assert (result.exit_code, result.output) == (0, "".join(f"picture: {p}\n" for p in paths))
        assert {Image.open(path).width for path in paths} == {300}


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn of a run is a blank figure, nearly at once."""
    blank = SimpleNamespace(draw=lambda trained, style: time.sleep(0.02) or Figure((4, 4)))
    monkeypatch.setattr("circlemnist.plots.draw.import_module", lambda module: blank)


NOT_EMBEDDING = [name for name in STILLS if name != "embedding"]


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ("--kind all", STILLS),
        (
            "--kind all --projection pca --theme dark",
            ["embedding-pca-dark", *(f"{name}-dark" for name in NOT_EMBEDDING)],
        ),
        (
            "--kind gradients --loss arcface --loss circle --loss arcface",
            ["gradients-arcface-circle"],
        ),
        ("--kind circle --kind history --kind circle", ["circle", "history"]),
    ],
)
def test_pictures_are_named_by_their_kind_and_by_what_is_not_the_default(
    args: str, names: list[str], tmp_path: Path, blank_figures: None
) -> None:
    """And those that a run cannot have are left out of all."""
    run = make_run(tmp_path / "run").run
    for expected in (names, [name for name in names if not name.startswith("history")]):
        result = invoke("plot", run.folder, *args.split())
        paths = [run.plots / f"{name}.png" for name in expected]
        assert (result.exit_code, result.output) == (0, "".join(f"picture: {p}\n" for p in paths))
        assert {Image.open(path).width for path in paths} == {1200}
        run.history_file.unlink(missing_ok=True)
        if "all" not in args:
            break


@pytest.mark.parametrize(
    ("screen", "code", "tries"),
    [("DISPLAY", 0, 1), ("WAYLAND_DISPLAY", 0, 1), ("DISPLAY", 1, 1), (None, 0, 0)],
)
def test_picture_is_opened_where_there_is_a_window(
    screen: str | None,
    code: int,
    tries: int,
    run: Path,
    blank_figures: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", lambda path: opened.append(path) or code)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv(screen, ":0")
    result = invoke("plot", run, "--kind", "confusion", "--width", 200, "--show")
    path = run / "plots" / "confusion.png"
    no_window = f"there is no window to show it in: open {path} yourself\n"
    assert opened == [str(path)] * tries
    assert result.stderr == ("" if tries and code == 0 else no_window)


def test_terminal_shows_which_picture_is_drawn_and_which_is_written(
    run: Path, blank_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("circlemnist.process.SILENCE", 0)
    monkeypatch.setattr("circlemnist.process._reports_work", False)
    kinds = ("--kind", "confusion", "--kind", "circle", "--width", "200")
    shown = on_terminal(80, monkeypatch, "plot", str(run), *kinds)
    works = ["drawing confusion", "drawing circle", "writing confusion.png", "writing circle.png"]
    named = re.findall(r"\r((?:draw|writ)ing \S+) … 0 s", shown)
    assert list(dict.fromkeys(named)) == works
