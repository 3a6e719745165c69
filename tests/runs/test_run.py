"""The run folder: making, finding, history."""

import datetime
import json
import math
import os
import shutil
import time
from pathlib import Path

import pytest

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.runs import run as run_module
from circlemnist.runs.history import Epoch, read_history, write_history
from circlemnist.runs.run import Run, create_run, find_run, has_runs


def test_new_run_holds_its_settings_and_environment(tmp_path: Path) -> None:
    """And nothing else, in a folder that others may enter as any other."""
    config, environment = Config(gamma=64, m=-0.1, dataset="digits"), {"seed": 3, "device": "cpu"}
    plain = tmp_path / "new" / "outputs"
    run = create_run(plain, "mine", config, environment)
    assert run.folder == plain / "mine"
    assert run.config() == config
    assert run.environment_file.read_text() == json.dumps(environment, indent=2) + "\n"
    assert set(run.folder.iterdir()) == {run.config_file, run.environment_file}
    assert list(plain.iterdir()) == [run.folder]
    assert run.folder.stat().st_mode == plain.stat().st_mode


def test_runs_of_the_same_second_are_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Clock":
            return cls(2026, 1, 2, 3, 4, 5, 678)

    monkeypatch.setattr(run_module.datetime, "datetime", Clock)
    config = Config(gamma=64, m=-0.1, unseen="7,2")
    names = [create_run(tmp_path, None, config, {}).name for _ in range(3)]
    stem = "2026-01-02_03-04-05_circle_gamma64_m-0.1_unseen27"
    assert names == [stem, f"{stem}_2", f"{stem}_3"]


def test_run_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        create_run(tmp_path, "mine", Config(), {"seed": object()})
    assert list(tmp_path.iterdir()) == []


def test_run_is_hidden_until_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from a process that is killed; what such a one left an hour ago is removed."""
    left = []

    def killed(folder: Path, target: Path) -> None:
        left.append(shutil.copytree(folder, folder.with_suffix(".killed")))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                create_run(tmp_path, "mine", Config(), {})
    assert not has_runs(tmp_path)
    assert set(tmp_path.iterdir()) == set(left)
    old, young = left
    for path, age in ((old, 3600.9), (young, 3000)):
        os.utime(path, (time.time() - age,) * 2)
    run = create_run(tmp_path, "mine", Config(), {})
    assert set(tmp_path.iterdir()) == {young, run.folder}


def test_taken_name_is_refused(tmp_path: Path) -> None:
    create_run(tmp_path, "mine", Config(), {})
    with pytest.raises(UserError, match=r"'mine' is already in .*`train --resume mine`"):
        create_run(tmp_path, "mine", Config(), {})
    (tmp_path / "swept").mkdir()
    (tmp_path / "swept" / "sweep.toml").touch()
    with pytest.raises(UserError, match=r"choose another `name`$"):
        create_run(tmp_path, "swept", Config(), {})


@pytest.mark.parametrize(
    ("outputs", "name", "words"),
    [
        *((".", name, "give `name` a plain") for name in ("", "a/b", "..", "/x", ".a", "a\nb")),
        (".", 86 * "ア", r"'ア+'… is too long: give `name` at most"),
        ("x" * 300, None, r"cannot write into .*: File name too long; choose .*`outputs`"),
        ("/dev/null", None, r"cannot write into /dev/null: .*; choose .*`outputs`"),
    ],
)
def test_folder_that_cannot_be_made_is_one_line(
    outputs: str, name: str | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        create_run(tmp_path / outputs, name, Config(), {})
    assert list(tmp_path.iterdir()) == []


def test_run_is_found_by_name_by_folder_and_as_the_newest(tmp_path: Path) -> None:
    """By the time of its settings: neither by its name, nor where it is not finished."""
    folders = {name: create_run(tmp_path, name, Config(), {}).folder for name in ("a", "b", "c")}
    (tmp_path / ".unfinished-x").mkdir()
    (tmp_path / ".unfinished-x" / "config.toml").write_text("")
    (tmp_path / "empty").mkdir()
    for age, name in enumerate(("b", "a", "c")):
        os.utime(folders[name] / "config.toml", (1000 - age, 1000 - age))
    assert find_run(tmp_path, None).folder == folders["b"]
    assert find_run(tmp_path, "a").folder == folders["a"]
    assert find_run(Path("elsewhere"), str(folders["a"])).folder == folders["a"]


def test_unknown_run_and_empty_outputs_say_what_to_do(tmp_path: Path) -> None:
    assert not has_runs(tmp_path)
    with pytest.raises(UserError, match="with `train`"):
        find_run(tmp_path, None)
    for name in ("mine", "a\0b", "x" * 5000):
        with pytest.raises(UserError, match=r"no run .*\(it holds no runs\)"):
            find_run(tmp_path, name)
    for name in "dbac":
        create_run(tmp_path, name, Config(), {})
    assert has_runs(tmp_path)
    with pytest.raises(UserError) as caught:
        find_run(tmp_path, "x")
    hint = "(its runs: b, c, d)"
    assert str(caught.value) == f"no run 'x', neither as a folder nor in {tmp_path} {hint}"


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss\n1,2\n",
        "hello\nworld\n",
        "epoch,loss,mean_sp,mean_sn,violating,lr,seconds\n1,x",
        "epoch\n" + "1" * 200_000,
    ],
    ids=["two columns", "words", "cut off", "an endless field"],
)
def test_file_that_is_no_history_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(UserError, match=r"cannot read .*history\.csv"):
        Run(tmp_path).history()


def test_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_history(tmp_path / "history.csv") == []
    rows = [
        Epoch(1, 2.5, math.nan, 0.1, 0.7, 1e-9, 3.0),
        Epoch(2, 1 / 3, 0.5, -0.1, 0.0, 0.01, 4.0),
    ]
    write_history(tmp_path / "history.csv", rows)
    text = (tmp_path / "history.csv").read_bytes()
    assert text.startswith(b"epoch,loss,mean_sp,mean_sn,violating,lr,seconds\n1,2.5,nan,0.1,0.7,")
    assert text.count(b"\n") == 3
    assert b"\r" not in text
    assert repr(read_history(tmp_path / "history.csv")) == repr(rows)  # NaN is not itself


def test_history_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "history.csv"
    with pytest.raises(UserError, match=rf"cannot write {path}: No such file or directory"):
        write_history(path, [])
