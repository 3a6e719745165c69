"""Files are the old one or the new one."""

import errno
import os
import stat
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from circlemnist.runs.files import (
    UNFINISHED,
    atomic_folder,
    atomic_write,
    remove_unfinished,
    write_text,
)


def test_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    write_text(path, "new Ω")
    assert path.read_text("utf-8") == "new Ω"
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_a_folder_come_at_the_end_or_not_at_all(tmp_path: Path) -> None:
    """Other files of the folder stay."""
    path = tmp_path / "space"

    def write(text: str, fail: bool) -> None:
        with atomic_folder(path) as temporary:
            for name in ("a.txt", "b.txt"):
                (temporary / name).write_text(text)
            if fail:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        write("first", fail=True)
    assert list(tmp_path.iterdir()) == []
    write("first", fail=False)
    (path / "mine.txt").write_text("mine")
    for fail, text in ((True, "first"), (False, "second")):
        with pytest.raises(RuntimeError) if fail else nullcontext():
            write("second", fail)
        content = {file.name: file.read_text() for file in path.iterdir()}
        assert content == {"a.txt": text, "b.txt": text, "mine.txt": "mine"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mask", [0o022, 0o077], ids=oct)
def test_file_has_the_usual_permissions(mask: int, tmp_path: Path) -> None:
    plain, before = tmp_path / "plain", os.umask(mask)
    try:
        plain.touch()
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode == plain.stat().st_mode


def test_file_is_on_the_disk_before_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves the old file or the new one."""
    path, flushed = tmp_path / "a.txt", []
    monkeypatch.setattr(
        os, "fsync", lambda handle: flushed.append((os.fstat(handle).st_ino, path.exists()))
    )
    write_text(path, "x")
    assert flushed == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not say whether a process is there")
def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from circlemnist.runs.files import atomic_write\n"
        "with atomic_write(Path('a.gif')): print('writing', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **pipes) as writer:  # type: ignore[call-overload]
        assert writer.stdout.readline() == b"writing\n"
        (there,) = tmp_path.iterdir()
        remove_unfinished(tmp_path)
        assert list(tmp_path.iterdir()) == [there]
        writer.kill()
    remove_unfinished(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_flushed_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems flush files alone."""
    flush = os.fsync

    def of_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(handle)

    monkeypatch.setattr(os, "fsync", of_files)
    write_text(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").read_text() == "x"


def test_what_another_users_process_writes_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    (there := tmp_path / f"{UNFINISHED}1-a.png").touch()
    remove_unfinished(tmp_path)
    assert there.exists()


def test_what_a_killed_process_left_is_removed_where_that_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the folder as well. A file of another user, or open on Windows, stays."""
    whole, left = tmp_path / "plots" / "a.png", tmp_path / "plots" / f"{UNFINISHED}b.png"
    folder = tmp_path / f"{UNFINISHED}space"
    for path in (whole, left, folder / "c.tsv"):
        path.parent.mkdir(exist_ok=True)
        path.touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        remove_unfinished(tmp_path)
    assert left.exists()
    remove_unfinished(tmp_path)
    assert [*tmp_path.iterdir(), *whole.parent.iterdir()] == [whole.parent, whole]
