"""Places where programs break: no HOME, no TERM, a C locale, odd paths, closed pipes."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import assert_one_line_error, invoke
from tests.process import ONE_THREAD, PROGRAM, run, start

TRAIN = ("train", "--dataset", "digits", "--epochs", "2", "--batch-size", "700", "--net", "tiny")


@pytest.fixture
def odd_folder(finished_run: Path, tmp_path: Path) -> Path:
    """A folder with spaces, letters of three scripts and a quote in its name, and a run in it."""
    folder = tmp_path / "my run's Ümläute 数字"
    shutil.copytree(finished_run, folder / "outputs" / "finished")
    return folder


def one_line(result: subprocess.CompletedProcess[str]) -> bool:
    return result.returncode in (1, 2) and result.stderr.count("\n") == 1


@pytest.mark.slow
def test_path_with_spaces_and_other_letters(odd_folder: Path) -> None:
    result = run(odd_folder, "plot", "finished", "--projection", "pca", "--out", "Bild ☃.png")
    assert (result.returncode, result.stderr) == (0, "")
    assert (odd_folder / "Bild ☃.png").exists()


COMMANDS = (TRAIN, ("eval",), ("train", "--help"), ("plot", "--projection", "pca"))


@pytest.mark.slow
@pytest.mark.parametrize("changes", ["-u HOME", "-u TERM", "HOME=/proc/1/none", "LC_ALL=C"])
def test_odd_environment(changes: str, odd_folder: Path) -> None:
    for args in COMMANDS:
        result = subprocess.run(
            ["env", *changes.split(), *PROGRAM, *args],
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
    for args in COMMANDS:
        result = run(tmp_path, *args, **ascii_only)
        assert (result.returncode, result.stderr) == (0, ""), args
    assert one_line(run(tmp_path, "train", "--gamma", "0", **ascii_only))
    assert one_line(run(odd_folder, *TRAIN, **ascii_only))


def unread(folder: Path, *args: str) -> None:
    """Run the program with nobody to read what it prints: it ends without an error."""
    with start(folder, *args, **ONE_THREAD) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() in (0, 1)


@pytest.mark.slow
def test_work_is_done_where_the_reader_of_the_output_goes_away(odd_folder: Path) -> None:
    for args in (("eval", "finished"), ("train", "--help"), (*TRAIN, "--name", "alone")):
        unread(odd_folder, *args)
    assert (odd_folder / "outputs" / "alone" / "eval.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "eval", "plot"])
def test_folder_that_cannot_be_written_is_one_line(command: str, odd_folder: Path) -> None:
    """/proc takes no files from anybody, the superuser included."""
    args = {
        "train": (*TRAIN, "--outputs", "/proc/sys"),
        "eval": ("eval", "/proc/sys"),
        "plot": ("plot", "finished", "--projection", "pca", "--out", "/proc/sys/picture.png"),
    }[command]
    assert one_line(run(odd_folder, *args, **ONE_THREAD))


@pytest.mark.slow
def test_run_on_a_read_only_disk(finished_run: Path, tmp_path: Path) -> None:
    """`eval` and `plot` need to write into the run, unless `plot` is told where to draw."""
    disk = tmp_path / "disk"
    shutil.copytree(finished_run, disk / "small")
    mounts = [["mount", "--bind", disk, disk], ["mount", "-o", "remount,bind,ro", disk]]
    if os.geteuid() or any(subprocess.run(m, capture_output=True).returncode for m in mounts):
        pytest.skip("only the superuser may mount a disk, and not in every container")
    try:
        outputs = ("--outputs", str(disk))
        for args in (
            ("eval", "small"),
            ("plot", "small", "--projection", "pca"),
            TRAIN,
            ("train", "--resume", "small"),
        ):
            result = run(tmp_path, *args, *outputs, **ONE_THREAD)
            assert one_line(result), result.stderr
            assert "Read-only file system" in result.stderr
        drawn = run(tmp_path, "plot", "small", *outputs, "--projection", "pca", "--out", "a.png")
        assert drawn.returncode == 0, drawn.stderr
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("letters", ["latin-1", "cp932"])
def test_output_without_all_letters(letters: str, finished_run: Path, tmp_path: Path) -> None:
    """What a file has no letter for is written as an escape."""
    shutil.copytree(finished_run, tmp_path / "outputs" / "one")
    picture = tmp_path / "숫자.png"
    paper = Image.new("L", (60, 60), 255)
    paper.paste(0, (26, 10, 33, 50))
    paper.save(picture)
    for args in (("sweep", "--help"), ("predict", "one", str(picture))):
        result = subprocess.run(
            [*PROGRAM, *args],
            cwd=tmp_path,
            env={**os.environ, **ONE_THREAD, "PYTHONIOENCODING": letters},
            capture_output=True,
        )
        assert result.returncode == 0, result.stderr
        assert b"Error" not in result.stderr
    assert rb"\uc22b\uc790.png" in result.stdout


@pytest.mark.slow
def test_errors_that_nobody_can_be_told(tmp_path: Path) -> None:
    """Standard error is closed, as in some services: the work is done."""
    command = shlex.join([*PROGRAM, *TRAIN, "--name", "alone"])
    result = subprocess.run(
        ["sh", "-c", f"{command} 2>&-"],
        cwd=tmp_path,
        env={**os.environ, **ONE_THREAD},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert result.returncode == 0
    assert "run: " in result.stdout
    assert (tmp_path / "outputs" / "alone" / "eval.json").exists()


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
