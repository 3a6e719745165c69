"""The run folder: making, finding, history."""

import datetime
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.runs.history import Epoch, read_history, write_history
from circlemnist.runs.new_run import create_run
from circlemnist.runs.run import Run, find_run, has_runs


def test_new_run_holds_its_settings_and_environment(tmp_path: Path) -> None:
    config = Config(gamma=64, m=-0.1, dataset="digits")
    run = create_run(tmp_path / "new" / "outputs", None, config, {"seed": 3})
    assert run.name.endswith("_gamma64_m-0.1")
    assert run.config() == config
    assert '"seed": 3' in run.environment_file.read_text()


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    runs = {create_run(tmp_path, None, Config(), {}).folder for _ in range(3)}
    assert len(runs) == 3


def test_taken_name_is_refused(tmp_path: Path) -> None:
    create_run(tmp_path, "mine", Config(), {})
    with pytest.raises(UserError, match=r"'mine' is already in .*`resume` mine"):
        create_run(tmp_path, "mine", Config(), {})


@pytest.mark.parametrize("name", ["a/b", "..", "/tmp/x", ".hidden"])
def test_name_must_be_a_plain_folder_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`name`"):
        create_run(tmp_path, name, Config(), {})
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("")
    with pytest.raises(UserError, match=r"outputs.*`outputs`"):
        create_run(tmp_path / "outputs", None, Config(), {})


def test_run_is_found_by_name_by_folder_and_as_the_newest(tmp_path: Path) -> None:
    first = create_run(tmp_path, "first", Config(), {})
    second = create_run(tmp_path, "second", Config(), {})
    os.utime(first.config_file, (1, 1))
    assert find_run(tmp_path, None).folder == second.folder
    assert find_run(tmp_path, "first").folder == first.folder
    assert find_run(Path("elsewhere"), str(first.folder)).folder == first.folder


def test_unknown_run_and_empty_outputs_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="with `train`"):
        find_run(tmp_path, None)
    with pytest.raises(UserError, match="it holds no runs"):
        find_run(tmp_path, "mine")
    create_run(tmp_path, "yours", Config(), {})
    with pytest.raises(UserError, match=r"no run 'mine'.*yours"):
        find_run(tmp_path, "mine")


def test_history_is_a_row_an_epoch(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.history() == []
    write_history(run.history_file, [Epoch(1, 2.5, 0.5, 0.1, 0.7, 0.01, 3.0)])
    assert run.history() == [Epoch(1, 2.5, 0.5, 0.1, 0.7, 0.01, 3.0)]


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss\n1,2\n",
        "hello\nworld\n",
        "epoch,loss,mean_sp,mean_sn,violating,lr,seconds\n1,x",
    ],
    ids=["two columns", "words", "cut off"],
)
def test_file_that_is_no_history_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(UserError, match=r"cannot read .*history\.csv"):
        Run(tmp_path).history()


def test_newest_is_by_time_not_by_name(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        create_run(tmp_path, name, Config(), {})
    for age, name in enumerate(("b", "a", "c")):
        os.utime(tmp_path / name / "config.toml", (1000 - age, 1000 - age))
    assert find_run(tmp_path, None).name == "b"


def test_runs_that_are_not_finished_are_none(tmp_path: Path) -> None:
    assert not has_runs(tmp_path)
    hidden = tmp_path / ".unfinished-x"
    hidden.mkdir()
    (hidden / "config.toml").write_text("")
    (tmp_path / "empty").mkdir()
    assert not has_runs(tmp_path)
    run = create_run(tmp_path, "seen", Config(), {})
    os.utime(run.config_file, (1, 1))
    assert has_runs(tmp_path)
    assert find_run(tmp_path, None).name == "seen"


def test_unknown_run_is_told_of_three_that_are_there(tmp_path: Path) -> None:
    for name in "dbac":
        create_run(tmp_path, name, Config(), {})
    with pytest.raises(UserError) as caught:
        find_run(tmp_path, "x")
    assert str(caught.value) == (
        f"no run 'x', neither as a folder nor in {tmp_path} (its runs: b, c, d)"
    )


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000], ids=["null", "long"])
def test_impossible_path_is_no_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run .*\(it holds no runs\)"):
        find_run(tmp_path, name)


def test_run_names_its_time_and_settings(tmp_path: Path) -> None:
    before = datetime.datetime.now().replace(microsecond=0)
    name = create_run(tmp_path, None, Config(gamma=0.5, m=0.1), {}).name
    stamp = name.removesuffix("_gamma0.5_m0.1")
    made = datetime.datetime.strptime(stamp, "%Y-%m-%d_%H-%M-%S")
    assert before <= made <= datetime.datetime.now()


def test_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [Epoch(1, 2.5, math.nan, 0.1, 0.7, 1e-9, 3.0), Epoch(2, 1 / 3, 0.5, -0.1, 0.0, 0.01, 4)]
    write_history(tmp_path / "history.csv", rows)
    text = (tmp_path / "history.csv").read_bytes()
    assert text.startswith(b"epoch,loss,mean_sp,mean_sn,violating,lr,seconds\n1,2.5,nan,0.1,0.7,")
    assert text.count(b"\n") == 3
    assert b"\r" not in text
    first, second = read_history(tmp_path / "history.csv")
    assert math.isnan(first.mean_sp)
    assert replace(first, mean_sp=0.0) == replace(rows[0], mean_sp=0.0)
    assert second == rows[1]
