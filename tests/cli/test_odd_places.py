"""Places where programs break: no HOME, no TERM, a C locale, odd paths, closed pipes."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import assert_one_line_error, invoke
from tests.process import ONE_THREAD, PROGRAM, run

# trains, evaluates and draws
TRAIN = ("train", "--dataset", "digits", "--epochs", "2", "--batch-size", "700", "--net", "tiny")


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """A folder with spaces, letters of three scripts and a quote in its name."""
    folder = tmp_path / "my run's Ümläute 数字"
    folder.mkdir()
    return folder


def one_line(result: subprocess.CompletedProcess[str]) -> bool:
    return result.returncode in (1, 2) and result.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("changes", ["-u HOME -u TERM LC_ALL=C", "HOME=/proc/1/none"])
def test_odd_environment(changes: str, odd_folder: Path) -> None:
    result = subprocess.run(
        ["env", *changes.split(), *PROGRAM, *TRAIN],
        cwd=odd_folder,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    # matplotlib may warn that it has no folder for its settings
    assert result.stderr == "" or ("/proc/1" in changes and "Traceback" not in result.stderr)


@pytest.mark.slow
def test_output_that_is_ascii(odd_folder: Path, tmp_path: Path) -> None:
    """The C locale without Python's own repair: a path of other letters is refused in one line."""
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", **ONE_THREAD}
    result = run(tmp_path, *TRAIN, **ascii_only)
    assert (result.returncode, result.stderr) == (0, "")
    assert one_line(run(tmp_path, "train", "--gamma", "0", **ascii_only))
    assert one_line(run(odd_folder, *TRAIN, **ascii_only))


@pytest.mark.slow
def test_output_without_all_letters(finished_run: Path, tmp_path: Path) -> None:
    """What a file has no letter for is written as an escape."""
    picture = tmp_path / "숫자.png"
    paper = Image.new("L", (60, 60), 255)
    paper.paste(0, (26, 10, 33, 50))
    paper.save(picture)
    result = run(tmp_path, "predict", str(finished_run), str(picture), PYTHONIOENCODING="latin-1")
    assert result.returncode == 0, result.stderr
    assert r"\uc22b\uc790.png" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["| true", "2>&-"])
def test_work_is_done_where_nobody_reads(streams: str, tmp_path: Path) -> None:
    """The reader of the output goes away, or standard error is closed, as in some services."""
    result = subprocess.run(
        ["sh", "-c", f"{shlex.join([*PROGRAM, *TRAIN, '--name', 'alone'])} {streams}"],
        cwd=tmp_path,
        env={**os.environ, **ONE_THREAD},
        stderr=subprocess.PIPE,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert (tmp_path / "outputs" / "alone" / "eval.json").exists()


@pytest.mark.slow
def test_run_on_a_read_only_disk(finished_run: Path, own_folder: Path) -> None:
    """`eval` and `plot` need to write into the run, unless `plot` is told where to draw."""
    disk = own_folder / "disk"
    shutil.copytree(finished_run, disk / "small")
    mounts = [["mount", "--bind", disk, disk], ["mount", "-o", "remount,bind,ro", disk]]
    if os.geteuid() or any(subprocess.run(m, capture_output=True).returncode for m in mounts):
        pytest.skip("only the superuser may mount a disk, and not in every container")
    plot = ("plot", disk / "small", "--projection", "pca")
    try:
        for args in (
            ("eval", disk / "small"),
            plot,
            (*TRAIN, "--outputs", disk),
            ("train", "--resume", disk / "small"),
        ):
            assert_one_line_error(invoke(*args), "Read-only file system")
        assert invoke(*plot, "--out", "a.png").exit_code == 0
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_results_that_a_full_disk_does_not_take(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*PROGRAM, "recipes"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert one_line(result)
    assert "No space left on device; make room" in result.stderr


@pytest.mark.parametrize(
    "flag", ["train --outputs", "train --config", "plot --out", "explore --out"]
)
def test_path_that_cannot_be_printed_is_refused(flag: str) -> None:
    result = invoke(*flag.split(), "a\nb.html")
    assert_one_line_error(result, r"'a\nb.html' cannot be a path here", "do not print")
