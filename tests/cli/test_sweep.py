"""The command `sweep`: its table, its folder, and what it refuses."""

import importlib.util
import json
import re
import shlex
import shutil
import statistics
import tomllib
from pathlib import Path

import optuna
import pytest
from click.testing import Result
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from circlemnist.cli.tables import sweep_table
from circlemnist.errors import UserError
from circlemnist.evaluation.group import Group
from circlemnist.sweep.plan import Plan, parse_axis
from circlemnist.sweep.run import SweepInterrupted, SweepResult
from circlemnist.sweep.storage import SweepFolder
from tests.cli.conftest import metrics_of, on_terminal
from tests.conftest import assert_one_line_error, invoke
from tests.sweep.sweeping import read_results

TINY = ("--dataset", "digits", "--net", "tiny", "--epochs", 1)
GRID = (*TINY, "--vary", "gamma=16,80", "--seeds", 2)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder of a sweep of two by two cells, which tests leave as it is, and what it said."""
    outputs = tmp_path_factory.mktemp("outputs")
    result = invoke("sweep", *GRID, "--outputs", outputs)
    assert result.exit_code == 0, result.output
    (folder,) = outputs.iterdir()
    return folder, result


def test_table_has_means_over_the_seeds_and_marks_the_best(swept: tuple[Path, Result]) -> None:
    folder, result = swept
    lines = result.stdout.splitlines()
    assert "4 cells of 4, evaluated on digits, 287 validation images" in lines
    means = {}
    for gamma in (16, 80):
        cells = [folder / "cells" / f"gamma{gamma}_seed{seed}" for seed in (0, 1)]
        values = [100 * metrics_of(cell)["1nn"] for cell in cells]
        means[gamma] = statistics.mean(values)
        (row,) = (line for line in lines if line.split()[:1] == [str(gamma)])
        assert f"{means[gamma]:.2f} ± {statistics.stdev(values):.2f}" in row
    (best,) = (line for line in lines if line.endswith("best"))
    assert int(best.split()[0]) == max(means, key=lambda gamma: means[gamma])


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        ((0.99, 0.98, 0.97), ["best", "", ""]),
        ((0.97, 0.99, 0.990001), ["", "tie for best", "tie for best"]),
    ],
)
def test_groups_that_are_written_alike_tie(values: list[float], marks: list[str]) -> None:
    groups = [
        Group(f"m {m}", {"m": m}, {0: dict.fromkeys(("1nn", "map@r", "eer"), value)})
        for m, value in enumerate(values)
    ]
    plan = Plan({}, (parse_axis("m=0,0.1,0.2"),), (0,), None, "1nn")
    lines = sweep_table(SweepResult(SweepFolder(Path()), plan, groups, [])).splitlines()
    assert [line.split("  ")[-1] if "best" in line else "" for line in lines[2:]] == marks


def test_every_cell_has_a_line_and_is_in_the_results_once(swept: tuple[Path, Result]) -> None:
    folder, result = swept
    lines = [line for line in result.stdout.splitlines() if "/4  " in line]
    rows = read_results(folder)
    for number, (line, row) in enumerate(zip(lines, rows, strict=True), 1):
        cell = f"gamma {float(row['gamma']):g}, seed {row['seed']}"
        shown = re.fullmatch(rf"{number}/4  {cell}  1nn (\S+)", line)
        assert shown
        assert shown[1] == f"{100 * float(row['1nn']):.2f}"
    assert list(rows[0])[:3] == ["gamma", "seed", "1nn"]
    cells = [folder / "cells" / f"gamma{float(r['gamma']):g}_seed{r['seed']}" for r in rows]
    assert sorted(cells) == sorted((folder / "cells").iterdir())
    for row, cell in zip(rows, cells, strict=True):
        settings = tomllib.loads((cell / "config.toml").read_text())
        assert (settings["gamma"], settings["seed"]) == (float(row["gamma"]), int(row["seed"]))
        for name, value in metrics_of(cell).items():
            assert float(row[name]) == value
    assert (folder / "plots" / "1nn.png").stat().st_size > 1000


@pytest.mark.slow
def test_cell_is_a_run_like_any_other(swept: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = swept
    one = (*TINY, "--gamma", 80, "--seed", 1, "--holdout", 287, "--name", "one")
    assert invoke("train", *one, "--outputs", tmp_path, "--quiet").exit_code == 0
    cell = folder / "cells" / "gamma80_seed1"
    assert metrics_of(cell) == metrics_of(tmp_path / "one")
    shutil.copytree(cell, tmp_path / "copy")
    measured = json.loads(invoke("eval", tmp_path / "copy", "--json").stdout)
    assert measured["metrics"] == metrics_of(cell)
    assert measured["images"] == "validation"


def test_same_command_trains_nothing_again(swept: tuple[Path, Result]) -> None:
    folder, result = swept
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("last.pt")}
    for name in ((), ("--name", folder.name)):
        again = invoke("sweep", *GRID, "--outputs", folder.parent, *name)
        assert again.exit_code == 0, again.output
        assert again.stdout == "".join(
            line for line in result.stdout.splitlines(keepends=True) if "/4  " not in line
        )
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("last.pt")} == before
    assert list(folder.parent.iterdir()) == [folder]


def test_bar_of_a_finished_sweep_is_full(
    swept: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    best = max(float(row["1nn"]) for row in read_results(swept[0]))
    args = map(str, ("sweep", *GRID, "--outputs", swept[0].parent))
    shown = on_terminal(80, monkeypatch, *args)
    assert re.search(rf"\r4/4 .* left  best 1nn {100 * best:.2f}", shown)


def test_sweep_is_no_run(swept: tuple[Path, Result]) -> None:
    assert_one_line_error(invoke("eval", "--outputs", swept[0].parent), "no runs in")


def test_results_that_cannot_be_written_are_named(
    swept: tuple[Path, Result], tmp_path: Path
) -> None:
    copy = tmp_path / swept[0].name
    shutil.copytree(swept[0], copy)
    (copy / "results.csv").unlink()
    (copy / "results.csv").mkdir()
    again = invoke("sweep", *GRID, "--outputs", tmp_path)
    assert_one_line_error(again, "results.csv")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('identity = "', 'identity = "0'), ("sweep.toml", "of other settings", "--name")),
        (("format = 1", "format = 2"), ("sweep.toml", "format 2", "update circlemnist")),
        (("identity", "entity"), ("sweep.toml is damaged",)),
        (('"journal"', '"database"'), ("keeps its results in a database", "--storage")),
    ],
)
def test_sweep_that_this_one_cannot_go_on_with_is_refused(
    change: tuple[str, str], words: tuple[str, ...], swept: tuple[Path, Result], tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    text = (swept[0] / "sweep.toml").read_text()
    assert change[0] in text
    (tmp_path / "old" / "sweep.toml").write_text(text.replace(*change))
    again = invoke("sweep", *GRID, "--outputs", tmp_path, "--name", "old")
    assert_one_line_error(again, *words)
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["sweep.toml"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--vary", "gama=1"), ("'gama'", "'gamma'")),
        (("--vary", "gamma"), ("--vary must be KEY=V1,V2,…",)),
        (("--vary", "gamma=80,-1"), ("--vary gamma must be > 0", "-1")),
        (("--vary", "gamma="), ("gamma must be a number",)),
        (("--vary", "m=0.25,2"), ("--m must be > -1 and < 1, not 2.0",)),
        (("--vary", "dim=8,1.5"), ("dim must be a whole number",)),
        (("--vary", "augment=on,perhaps"), ("augment must be true or false",)),
        (("--vary", "loss=circle,cirle"), ("did you mean 'circle'?",)),
        (("--vary", "gamma=80,80.0"), ("gamma = 80.0 twice",)),
        (("--vary", "m=0", "--vary", "m=0.1"), ("m twice",)),
        (("--vary", "m=0", "--m", 0.1), ("--m cannot be given where it is varied",)),
        (("--vary", "seed=1,2"), ("--seeds",)),
        (("--vary", "dataset=auto,digits"), ("not auto",)),
        (
            ("--vary", "loss=circle,arcface", "--vary", "pairs=anchor,batch"),
            ("two cells are the same training", "loss arcface, pairs anchor"),
        ),
        (("--vary", "elastic=0.1,0.2", "--vary", "augment=on,off"), ("same training",)),
        (("--vary", "m=0..1.5", "--trials", 3), ("--m must be",)),
        (("--no-augment", "--vary", "elastic=0.1..2", "--trials", 3), ("--vary elastic",)),
        (("--vary", "m=0", "--seed", 2**32 - 1, "--seeds", 2), ("--seed must be",)),
        (("--vary", "loss=circle,triplet", "--gamma", 3), ("triplet has no --gamma",)),
        (("--vary", "loss=arcface", "--pairs", "batch"), ("--pairs has no effect",)),
        (("--vary", "lr=0.1..0.2"), ("lr is a range", "--trials")),
        (("--vary", "lr=0.2..0.1", "--trials", 2), ("from less to more",)),
        (("--vary", "m=0..0.1:log", "--trials", 2), ("above 0 for a logarithmic scale",)),
        (("--trials", 2), ("--trials needs something to --vary",)),
        (("--vary", "holdout=50,100"), ("--holdout must be 0, or from 100 to 1337, not 50",)),
        (("--vary", "batch_size=1151"), ("--batch-size must be ≤ 1150",)),
        (("--turned", "mirrored", "--batch-size", 9201), ("--batch-size must be ≤ 9200",)),
        (("--metric", "2nn"), ("--metric", "did you mean '20nn'?")),
        (("--metric", "unseen/map@r"), ("--metric unseen/map@r is of --unseen classes",)),
        (("--vary", "unseen=3,7"), ("--unseen must name two classes", "3 alone")),
        (("--name", "a/b"), ("cannot name a folder", "--name")),
        (("--storage", "sqlite:///x.db"), ("--storage must begin with postgresql://",)),
        (("--storage", "postgresql://127.0.0.1:9/x"), ("--storage does not answer",)),
        (("--storage", "postgresql://127.0.0.1:z/x"), ("--storage is no address",)),
    ],
)
def test_nonsense_is_refused_before_anything_is_made(
    args: tuple[object, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    dataset = () if "dataset=auto,digits" in args else ("--dataset", "digits")
    result = invoke("sweep", *dataset, *args, "--outputs", tmp_path / "outputs")
    assert_one_line_error(result, *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_sweep_fetches_its_data_quietly(
    quiet: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[object] = []

    def load(name: str, folder: Path, **how: object) -> None:
        asked.append((name, how["quiet"]))
        raise UserError("no data")

    monkeypatch.setattr("circlemnist.sweep.run.load_dataset", load)
    assert_one_line_error(invoke("sweep", *GRID, "--outputs", tmp_path, *["--quiet"] * quiet))
    assert asked == [("digits", quiet)]
    assert not list(tmp_path.iterdir())


def test_what_continues_a_sweep_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise SweepInterrupted("some", "1 of 2", 143)

    monkeypatch.setattr("circlemnist.sweep.run.run_sweep", stop)
    for url, shown in (
        ("postgresql://me:secret@there/db", "postgresql://me:***@there/db"),
        ("postgresql://me:sec@ret@there", "postgresql://me:***@there"),
        ("postgresql://me:sec&ret@there", "postgresql://me:***@there"),
        ("postgresql://me@org:secret@there/db", "postgresql://me@org:***@there/db"),
        ("postgresql://there:5432/db", "postgresql://there:5432/db"),
        ("postgresql://there/db?password=sec@ret", "postgresql://there/db?password=***"),
        ("postgresql://there/db?password=secret&x=1", "postgresql://there/db?password=***&x=1"),
        ("postgresql://me@there/db", "postgresql://me@there/db"),
    ):
        args = ["sweep", "--vary", "m=0,0.1", "--storage", url]
        monkeypatch.setattr("sys.argv", ["circlemnist", *args])
        result = invoke(*args)
        assert result.exit_code == 143
        words, _, command = result.stderr.partition("; continue with the same command: ")
        assert words == "stopped; some has 1 of 2 cells, and every step of the others"
        assert shlex.split(command) == ["circlemnist", *args[:-1], shown]


def test_storage_without_its_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = invoke("sweep", *GRID, "--storage", "postgresql://127.0.0.1/x", "--outputs", tmp_path)
    assert_one_line_error(result, "psycopg", "circlemnist[postgres]")


@pytest.mark.slow
def test_search_stays_in_its_ranges_and_goes_on_where_it_was(tmp_path: Path) -> None:
    args = (*TINY, "--vary", "lr=0.01..0.5:log", "--vary", "dim=8..16", "--vary", "augment=on,off")
    search = ("sweep", *args, "--trials", 3, "--seeds", 2, "--metric", "eer", "--name", "found")
    result = invoke(*search, "--outputs", tmp_path)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "found"
    rows = read_results(folder)
    names = {path.name for path in (folder / "cells").iterdir()}
    assert names == {f"trial{trial}_seed{seed}" for trial in range(3) for seed in (0, 1)}
    assert [row["seed"] for row in rows] == ["0", "1"] * 3
    assert len({row["lr"] for row in rows}) == 3
    for row in rows:
        assert 0.01 <= float(row["lr"]) <= 0.5
        assert int(row["dim"]) in range(8, 17)
        assert row["augment"] in ("True", "False")
    means = [statistics.mean(float(row["eer"]) for row in rows[i : i + 2]) for i in (0, 2, 4)]
    (best,) = (line for line in result.stdout.splitlines() if line.endswith("best"))
    assert f"{100 * min(means):.2f} ±" in best
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.load_study(study_name=None, storage=storage)
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
    assert [trial.value for trial in study.trials] == pytest.approx(means)
    assert (folder / "plots" / "eer.png").exists()
    again = invoke(*search, "--outputs", tmp_path)
    assert read_results(folder) == rows
    assert again.stdout.endswith(result.stdout.partition("6 cells of 6")[2])


@pytest.mark.slow
def test_cell_that_diverges_is_named_and_the_others_are_trained(tmp_path: Path) -> None:
    args = (*TINY, "--vary", "lr=0.08,1e6", "--no-last-norm", "--name", "some")
    result = invoke("sweep", *args, "--outputs", tmp_path)
    assert result.exit_code == 0, result.output
    assert "1 cells of 2" in result.stdout
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("failed: "))
    assert line.startswith("failed: lr 1000000: ")
    assert "is not finite in epoch 1" in line
    assert "lower --lr" in line
    assert [row["lr"] for row in read_results(tmp_path / "some")] == ["0.08"]
    again = invoke("sweep", *args, "--outputs", tmp_path)
    assert again.stdout in result.stdout
    assert line in again.stdout


@pytest.mark.slow
def test_cell_that_cannot_be_written_ends_the_sweep_and_is_done_later(
    swept: tuple[Path, Result], tmp_path: Path
) -> None:
    sweep = tmp_path / swept[0].name
    (sweep / "cells").mkdir(parents=True)
    shutil.copy(swept[0] / "sweep.toml", sweep)
    blocked = sweep / "cells" / "gamma16_seed0"
    blocked.write_text("no folder")
    stopped = invoke("sweep", *GRID, "--outputs", tmp_path, "--quiet")
    assert_one_line_error(stopped, "gamma16_seed0")
    blocked.unlink()
    assert invoke("sweep", *GRID, "--outputs", tmp_path).exit_code == 0
    assert read_results(sweep) == read_results(swept[0])
