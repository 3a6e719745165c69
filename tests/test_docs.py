"""What the documentation says of the losses is what they are."""

import re
import shutil
from dataclasses import asdict
from itertools import chain, product
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.family import print_final, read_results, settings_of, winners
from benchmarks.nested import RECIPE, SEEDS, SPLITS, candidates, chosen
from benchmarks.resumed import FOLDER, read_rows
from circlemnist.config import Config, read_settings
from circlemnist.evaluation.pair_plane import boundary_of
from circlemnist.family import FAMILY
from circlemnist.recipes import recipe_files
from tests.conftest import ROOT

LOSSES = (ROOT / "docs" / "losses.md").read_text("utf-8")


def test_every_loss_has_a_row_with_its_defaults_and_a_section() -> None:
    rows = re.findall(
        r"^\| `([a-z][a-z-]*)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", LOSSES, re.MULTILINE
    )
    assert [row[0] for row in rows] == list(FAMILY)
    for loss, defaults, compares_with, boundary, embeddings in rows:
        config = Config(loss=loss)
        own = {"lr": config.lr, "weight decay": config.weight_decay}
        values = config.hyperparameters | own
        assert defaults == ", ".join(f"{name} {value:g}" for name, value in values.items())
        assert ("class weights" in compares_with or "centres" in compares_with) == (
            config.loss_info.has_class_weights
        )
        if boundary_of(config).name != "boundary":
            assert boundary.startswith(boundary_of(config).name)
        assert (embeddings == "on the sphere") == config.loss_info.on_sphere
        assert re.search(rf"^## .*: `{loss}`$", LOSSES, re.MULTILINE)


def test_splits_of_the_protocol_are_those_that_are_measured() -> None:
    """Four digits each, every digit twice, and beside them the six others."""
    text = (ROOT / "docs" / "unseen.md").read_text("utf-8")
    rows = re.findall(r"^\| \d \| ([\d, ]+) \| ([\d, ]+) \|$", text, re.MULTILINE)
    splits = [unseen.replace(", ", "+") for unseen, _ in rows]
    assert tuple(splits) == SPLITS
    assert sorted("+".join(splits).split("+")) == sorted("00112233445566778899")
    for unseen, seen in rows:
        config = Config(unseen=unseen)
        assert len(config.unseen_classes) == 4
        assert ", ".join(map(str, config.seen_classes)) == seen


def test_comparison_is_that_of_its_trainings(capsys: pytest.CaptureFixture[str]) -> None:
    print_final(FOLDER, "bfloat16")
    _, _, *rows = capsys.readouterr().out.splitlines()
    text = (ROOT / "docs" / "loss-comparison.md").read_text("utf-8")
    assert len(rows) == len(FAMILY) + 1  # Center Loss by two similarities
    for row in rows:
        without_settings = row.removesuffix(" |").rpartition(" | ")[0]
        assert f"\n{without_settings} |\n" in text


def test_final_trainings_of_unseen_digits_have_what_their_split_chose() -> None:
    searched, rows = (read_rows(FOLDER / f"unseen-{part}.csv") for part in ("search", "final"))
    trained = [(row["split"], row["name"], row["candidate"], row["seed"]) for row in rows]
    assert sorted(trained) == sorted(
        (split, name, chosen([split], name, searched), seed)
        for split, name, seed in product(SPLITS, [*FAMILY, RECIPE], SEEDS)
    )


def test_figures_of_unseen_digits_are_those_of_their_trainings(tmp_path: Path) -> None:
    for part in ("search", "final"):
        shutil.copy(FOLDER / f"unseen-{part}.csv", tmp_path)
    command = ["family-unseen", "final", "--folder", str(tmp_path), "--data-dir", str(tmp_path)]
    output = CliRunner().invoke(main, command).output
    _, *tables = re.split(r"^\|.*\n\| --- .*\n", output, flags=re.MULTILINE)
    counts = [len(FAMILY) + 1, len(SPLITS) + 1, len(candidates(RECIPE))]
    assert [len(table.splitlines()) for table in tables] == counts
    text = (ROOT / "docs" / "unseen.md").read_text("utf-8")
    for row in chain(*map(str.splitlines, tables)):
        assert f"\n{row}\n" in text


@pytest.mark.parametrize("loss", FAMILY)
def test_defaults_of_a_loss_are_the_winner_of_its_confirmation(loss: str) -> None:
    winner, *_ = winners(read_results(FOLDER / "confirm.csv", loss, "bfloat16")).values()
    config = asdict(Config(precision="bfloat16", loss=loss))
    assert settings_of(winner).items() <= config.items()


def test_recipe_unseen_is_what_the_splits_chose_together() -> None:
    candidate = chosen(SPLITS, RECIPE, read_rows(FOLDER / "unseen-search.csv"))
    settings = read_settings(recipe_files()["unseen"]) | {"precision": "bfloat16"}
    del settings["unseen"]
    assert settings == candidates(RECIPE)[candidate]
