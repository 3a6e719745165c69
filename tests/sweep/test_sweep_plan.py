"""What a sweep trains, without training it."""

from pathlib import Path
from typing import Any

import click
import pytest

from circlemnist.cli.main import main
from circlemnist.cli.sweep import new_plan
from circlemnist.config import Config
from circlemnist.evaluation.group import Group
from circlemnist.limits import Value
from circlemnist.sweep.plan import HOLDOUT, Axis, Plan, parse_axis
from circlemnist.sweep.storage import SweepFolder
from tests.sweep.sweeping import read_results


def plan_of(*args: object) -> Plan:
    """The plan of a command line."""
    context = main.commands["sweep"].make_context("sweep", [str(arg) for arg in args])
    assert isinstance(context, click.Context)
    params = context.params
    settings = {name: params[name] for name in Config.__dataclass_fields__}
    flags = ("varied", "seeds", "trials", "metric")
    return new_plan(context, settings, *(params[name] for name in flags))


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("gamma=16,32.5", Axis("gamma", (16.0, 32.5))),
        ("batch-size=100, 250", Axis("batch_size", (100, 250))),
        ("loss=circle,arcface", Axis("loss", ("circle", "arcface"))),
        ("augment=on,off", Axis("augment", (True, False))),
        ("last_norm=false", Axis("last_norm", (False,))),
        ("dim=8..64", Axis("dim", bounds=(8, 64))),
        ("lr=0.01..0.5:log", Axis("lr", bounds=(0.01, 0.5), log=True)),
        ("m=-0.5..0.5", Axis("m", bounds=(-0.5, 0.5))),
        ("data_dir=../a,b..c", Axis("data_dir", ("../a", "b..c"))),
    ],
)
def test_axis_as_it_is_typed(text: str, axis: Axis) -> None:
    assert parse_axis(text) == axis


def test_every_combination_has_a_folder_of_its_own() -> None:
    plan = plan_of("--vary", "gamma=16,32", "--vary", "m=0,0.25,0.4", "--seeds", 2, "--seed", 3)
    assert (len(plan.grid), plan.cells, plan.seeds) == (6, 12, (3, 4))
    assert list(plan.cell_names.values())[:3] == [
        "gamma16_m0_seed3",
        "gamma16_m0_seed4",
        "gamma16_m0.25_seed3",
    ]
    assert plan.grid[-1] == {"gamma": 32.0, "m": 0.4}
    # a search may draw the same twice
    twins = ("--vary", "elastic=0.1,0.2", "--vary", "augment=on,off")
    assert plan_of(*twins, "--trials", 3).cells == 3


@pytest.mark.parametrize(
    ("varied", "names"),
    [
        ("lr=0.1,0.10000001", ["cell1", "cell2"]),
        (f"data-dir={'x' * 200},y", ["cell1", "cell2"]),
        ("data-dir=/a/b", ["data_dir-a-b_seed0"]),
    ],
)
def test_cells_whose_names_would_be_the_same_or_too_long_are_numbered(
    varied: str, names: list[str]
) -> None:
    assert list(plan_of("--vary", varied).cell_names.values()) == names


def test_settings_of_a_cell_are_those_of_train() -> None:
    plan = plan_of("--vary", "loss=circle,arcface", "--pairs", "batch", "--epochs", 2)
    expected = Config(loss="circle", pairs="batch", epochs=2, holdout=5000, seed=7)
    assert plan.config({"loss": "circle"}, 7) == expected


@pytest.mark.parametrize("dataset", HOLDOUT)
def test_cells_are_evaluated_on_held_out_images_unless_the_test_images_are_asked_for(
    dataset: str, tmp_path: Path
) -> None:
    file = tmp_path / "all.toml"
    for flags, in_file, expected in (
        ((), 0, HOLDOUT[dataset]),  # a file of all settings has 0
        ((), 300, 300),
        (("--holdout", 0), 300, 0),
    ):
        file.write_text(f"holdout = {in_file}\n")
        plan = plan_of("--vary", "m=0", "--dataset", dataset, "--config", file, *flags)
        assert plan.config({"m": 0.0}, 0).holdout == expected
        words = f"{expected:,} validation" if expected else "TEST images"
        assert plan.images.startswith(f"{dataset}, ")
        assert words in plan.images
    assert "TEST" in plan_of("--vary", "holdout=0,300").images


def test_gamma_m_and_lr_of_a_file_give_way_to_those_of_another_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """But for those that are typed."""
    file = tmp_path / "my.toml"
    file.write_text('loss = "arcface"\ngamma = 64\nm = 0.4\nlr = 0.01\n')
    args = ("--vary", "dim=8", "--config", file)
    (config,) = plan_of(*args, "--loss", "circle", "--m", "0.1").configs
    assert config == Config(dim=8, m=0.1, holdout=5000)
    (config,) = plan_of(*args, "--loss", "arcface").configs
    assert (config.gamma, config.m, config.lr) == (64, 0.4, 0.01)
    capsys.readouterr()
    plan = plan_of("--vary", "loss=circle,triplet", "--config", file)
    assert "gamma, m, lr in the file are not used" in capsys.readouterr().err
    assert plan.configs == [Config(loss=name, holdout=5000) for name in ("circle", "triplet")]


@pytest.mark.parametrize(
    "args",
    [
        ("--vary", "gamma=16,33"),
        ("--vary", "gamma=16,32", "--vary", "m=0"),
        ("--vary", "gamma=16,32", "--seeds", 2),
        ("--vary", "gamma=16,32", "--seed", 1),
        ("--vary", "gamma=16,32", "--epochs", 3),
        ("--vary", "gamma=16,32", "--holdout", 0),
        ("--vary", "gamma=16,32", "--trials", 2),
    ],
)
def test_sweep_is_known_by_what_it_trains(args: tuple[Any, ...]) -> None:
    plan = plan_of("--vary", "gamma=16,32")
    assert plan_of(*args).default_name != plan.default_name
    elsewhere = ("--device", "cpu", "--data-dir", "there", "--metric", "map@r")
    same = plan_of("--vary", "gamma=16,32", *elsewhere)
    assert (same.identity, same.default_name) == (plan.identity, plan.default_name)


def test_sweep_is_known_however_its_classes_are_spelled() -> None:
    for spellings in (
        [("--vary", "m=0", "--unseen", text) for text in ("0,4", "4,0", "0, 4", "4+0")],
        [("--vary", f"unseen={text},1+2") for text in ("0+4", "4+0", "4 + 0")],
    ):
        assert len({plan_of(*args).identity for args in spellings}) == 1


def test_results_hold_every_digit(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [
        {"gamma": 1 / 3, "loss": "circle", "augment": flag} for flag in (True, False)
    ]
    groups = [Group("", own, {3: {"1nn": 0.1 + 0.2, "eer": 1e-9}}) for own in settings]
    SweepFolder(tmp_path).write_results(groups)
    rows = read_results(tmp_path)
    assert [row["augment"] for row in rows] == ["True", "False"]
    for row in rows:
        assert list(row) == ["gamma", "loss", "augment", "seed", "1nn", "eer"]
        assert (float(row["gamma"]), row["loss"], row["seed"]) == (1 / 3, "circle", "3")
        assert (float(row["1nn"]), float(row["eer"])) == (0.1 + 0.2, 1e-9)
    SweepFolder(tmp_path).write_results([])
    assert read_results(tmp_path) == []


@pytest.mark.parametrize("typed", [{}, {"holdout": 150}])
def test_plan_of_a_folder_learns_its_classes_and_leaves_out_a_fifth(
    typed: dict[str, Value],
) -> None:
    plan = Plan(typed, (Axis("dim", (2, 3)),), (0,), None, "1nn")
    folder = {"dataset": "/some/letters", "classes": "a,b", "holdout": 200, **typed}
    assert plan.for_dataset("/some/letters", ["a", "b"], 1003).settings == folder
    assert plan.for_dataset("digits", ["0", "1"], 1003).settings == {"dataset": "digits", **typed}
