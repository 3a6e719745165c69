"""The losses on the command line: chosen, told apart, refused."""

import tomllib
from pathlib import Path

import pytest

from circlemnist.family import FAMILY
from circlemnist.runs.run import Run
from tests.conftest import ROOT, invoke

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["triplet", "arcface", "adacos", "center"])
def test_losses_of_each_kind_are_trained_drawn_and_explored(loss: str) -> None:
    args = ("--dataset", "digits", "--epochs", 8, "--net", "small", "--snapshots", "--dim", 16)
    result = invoke("train", "--loss", loss, *args)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    (run,) = Path("outputs").iterdir()
    assert f"_{loss}" in run.name
    assert Run(run).config().loss == loss
    (share,) = (line.split()[1] for line in result.stdout.splitlines() if line.startswith("1nn"))
    assert float(share) > 90
    for command in ("eval", "explore"):
        assert invoke(command).exit_code == 0
    drawn = invoke("plot", "--kind", "all", "--projection", "pca")
    assert drawn.exit_code == 0, drawn.output
    assert len(drawn.stdout.splitlines()) >= 8


def test_recipe_of_one_loss_gives_another_its_own_defaults() -> None:
    """And says so; what else the recipe wants stays, and what is typed is taken."""
    recipe = ROOT / "configs" / "plane.toml"
    for loss in ("arcface", "triplet", "adacos"):
        result = invoke("train", "--config", recipe, "--loss", loss, "--dry-run")
        assert result.exit_code == 0, result.output
        found, own = tomllib.loads(result.stdout), FAMILY[loss]
        assert (found["dim"], found["fold"], found["lr"]) == (2, 64, own.lr)
        assert found["weight_decay"] == own.weight_decay
        values = {name: found[name] for name in ("gamma", "m") if name in found}
        assert values == {name: value.default for name, value in own.hyperparameters.items()}
        assert (
            f"gamma, m, lr, weight_decay in the file are not used: {loss} has its own defaults"
            in result.stderr
        )
    args = ("--config", recipe, "--loss", "arcface", "--m", 0.1, "--dry-run")
    assert tomllib.loads(invoke("train", *args).stdout)["m"] == 0.1
    same = invoke("train", "--config", recipe, "--loss", "circle-class", "--dry-run")
    assert tomllib.loads(same.stdout)["m"] == 0.67
    assert same.stderr == ""


def test_pair_loss_without_pairs_says_so() -> None:
    args = ("--dataset", "digits", "--epochs", 1, "--net", "tiny", "--lr", 1e-4)
    few = ("--batch-size", 5, "--holdout", 1337)
    result = invoke("train", "--loss", "triplet", *args, *few)
    assert result.exit_code == 0, result.output
    assert (
        "had no positive or no negative pair, and taught nothing: raise --batch-size"
        in result.stderr
    )
