"""Every kind of picture, in both themes and every format, of a real small run."""

import shutil
from pathlib import Path

import pytest
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from PIL import Image

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.draw import save
from circlemnist.plots.kinds import KINDS, STILL
from circlemnist.plots.style import THEMES
from tests.conftest import assert_one_line_error, invoke
from tests.plots.figures import drawn

STILLS = [name for name, kind in KINDS.items() if kind.formats == STILL]


@pytest.mark.parametrize("theme", list(THEMES))
@pytest.mark.parametrize("kind", STILLS)
def test_nothing_is_clipped_or_of_another_theme(
    kind: str, theme: str, trained: EvaluatedRun
) -> None:
    figure = drawn(kind, trained, THEMES[theme])
    figure.set_dpi(80)
    FigureCanvasAgg(figure).draw()
    edge = figure.bbox
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
        if text.get_text() and text.get_visible() and text.axes is not None:
            box = text.get_window_extent()
            inside = edge.x0 - 1 <= box.x0 <= box.x1 <= edge.x1 + 1
            assert inside or not text.get_in_layout(), text
    assert to_hex(figure.get_facecolor()) == THEMES[theme].paper


@pytest.mark.slow
@pytest.mark.parametrize("kind", STILLS)
def test_kind_is_a_picture_of_the_width_asked_for(kind: str, finished_run: Path) -> None:
    projection = ("--projection", "pca") if "projection" in KINDS[kind].uses else ()
    for suffix, width in ((".png", ("--width", 640)), (".svg", ()), (".pdf", ())):
        path = finished_run.parent / f"a{suffix}"
        wishes = ("--kind", kind, *projection, *width, "--out", path)
        result = invoke("plot", finished_run, *wishes)
        assert result.exit_code == 0, result.output
        assert result.output == f"picture: {path}\n"
    assert Image.open(finished_run.parent / "a.png").width == 640
    assert "gamma 80" in (finished_run.parent / "a.svg").read_text("utf-8")


@pytest.mark.slow
def test_all_kinds_are_written_into_the_run(watched_run: Path) -> None:
    result = invoke("plot", watched_run, "--kind", "all", "--projection", "pca", "--theme", "dark")
    assert result.exit_code == 0, result.output
    written = {path.name for path in (watched_run / "plots").iterdir()}
    assert {f"{kind}-dark.png" for kind in STILLS} | {"animation-dark.gif"} <= written
    assert "embedding.png" in written  # at the end of the training


@pytest.mark.slow
def test_all_kinds_of_a_run_without_snapshots_are_the_still_ones(
    finished_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "copy")
    result = invoke("plot", run, "--kind", "all", "--projection", "pca")
    pictures = [f"picture: {run / 'plots' / kind}.png" for kind in STILLS]
    assert (result.exit_code, result.output.splitlines()) == (0, pictures)


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_picture_is_written_in_the_format_of_its_name(
    suffix: str, start: bytes, trained: EvaluatedRun, tmp_path: Path
) -> None:
    path = tmp_path / "new folder" / f"picture{suffix}"
    save(drawn("confusion", trained), path, width=321)
    assert path.read_bytes().startswith(start)
    assert list(path.parent.iterdir()) == [path]
    if suffix == ".png":
        assert Image.open(path).width == 321


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "picture.PNG.txt"])
def test_other_suffixes_are_refused(name: str, finished_run: Path, tmp_path: Path) -> None:
    result = invoke("plot", finished_run, "--kind", "confusion", "--out", tmp_path / name)
    assert_one_line_error(result, name, ".png, .svg, .pdf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("here", "formats"), [(False, "must end in .gif\n"), (True, "must end in .gif, .mp4\n")]
)
def test_film_is_offered_where_ffmpeg_is(
    here: bool, formats: str, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: here)
    result = invoke("plot", finished_run, "--kind", "animation", "--out", "a.avi")
    assert_one_line_error(result, "animation")
    assert result.stderr.endswith(formats)
    if not here:
        film = invoke("plot", finished_run, "--kind", "animation", "--out", "a.mp4")
        assert_one_line_error(film, "ffmpeg is not here; give a .gif")


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("--kind", "all", "--out", "a.png"), "--out takes one picture"),
        (("--kind", "circle", "--kind", "history", "--out", "a.png"), "--out takes one picture"),
        (("--kind", "animation", "--out", "a.png"), "must end in .gif"),
        (("--kind", "circle", "--out", "a.gif"), "must end in .png, .svg, .pdf"),
        (("--kind", "cirle"), "'cirle' is not one of"),
        (("--width", "20"), "200<=x<=10000"),
    ],
)
def test_wrong_wishes_are_one_line(args: tuple[str, ...], word: str, watched_run: Path) -> None:
    assert_one_line_error(invoke("plot", watched_run, *args), word)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--split train --kind circle", "--split has no effect with --kind circle"),
        (
            "--kind history --kind animation --split both",
            "--split has no effect with --kind history --kind animation",
        ),
        (
            "--projection tsne --kind neighbors --kind neighbors",
            "--projection has no effect with --kind neighbors (",
        ),
        ("--width 1200 --out a.svg", "--width has no effect with --out a.svg"),
        ("--kind circle --out new/a.PDF --width 300", "--width has no effect with --out new/a.PDF"),
    ],
)
def test_flag_without_effect_is_refused_when_typed(
    args: str, words: str, finished_run: Path
) -> None:
    """Even where its value is the default one."""
    result = invoke("plot", finished_run, *args.split())
    assert_one_line_error(result, words, "circlemnist plot --help")
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("args", "last"),
    [
        ("--kind confusion", "plots/confusion.png"),
        ("--kind confusion --theme dark --out {run}/a.svg", "a.svg"),
        ("--kind confusion --width 300 --out {run}/a.png", "a.png"),
        (
            "--kind confusion --kind embedding --split train --projection pca --theme dark",
            "plots/embedding-train-dark.png",
        ),
    ],
)
def test_flag_with_an_effect_is_taken(
    args: str, last: str, finished_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "copy")
    result = invoke("plot", run, *args.format(run=run).split())
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == f"picture: {run / last}"
