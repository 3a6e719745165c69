"""`circlemnist compare`: tables, the test, JSON, and errors of one line."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from matplotlib.image import imread

from circlemnist.cli.compare import folder_name
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.evaluation.metric_names import METRICS, OF_UNSEEN
from circlemnist.plots.kinds import COMPARED
from circlemnist.runs.run import find_run
from tests.cli.conftest import metrics_of
from tests.conftest import assert_one_line_error, invoke

TRAININGS = {
    "circle-0": ("circle", 0),
    "circle-1": ("circle", 1),
    "arc-0": ("arcface", 0),
    "arc-1": ("arcface", 1),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four runs of an epoch: two losses, two seeds of each."""
    outputs = tmp_path_factory.mktemp("outputs")
    args = ("--dataset", "digits", "--net", "tiny", "--epochs", 1, "--quiet", "--outputs", outputs)
    for name, (loss, seed) in TRAININGS.items():
        result = invoke("train", *args, "--loss", loss, "--seed", seed, "--name", name)
        assert result.exit_code == 0, result.output
    return outputs


@pytest.fixture
def outputs(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(trained, tmp_path / "outputs"))


def compared(outputs: Path, *names: object) -> Result:
    result = invoke("compare", *names, "--outputs", outputs, "--kind", "none")
    assert result.exit_code == 0, result.output
    return result


def in_json(outputs: Path, *names: object) -> Any:
    return json.loads(compared(outputs, *names, "--json").stdout)


def changed(run: Path, name: str, old: str, new: str) -> None:
    """Copy a run to `name` beside it, with another line in its settings."""
    copy = Path(shutil.copytree(run, run.parent / name))
    text = (copy / "config.toml").read_text()
    assert old in text
    (copy / "config.toml").write_text(text.replace(old, new))


def columns_of(text: str) -> dict[str, dict[str, str]]:
    """The columns of all tables by their heading, each by the number of its row."""
    columns: dict[str, dict[str, str]] = {}
    for table in text.split("\n\n"):
        head, *rows = table.splitlines()
        if not head.startswith(" "):
            continue
        starts = [match.start() for match in re.finditer(r"(?<=  )\S", head)]
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            column = columns.setdefault(head[start:end].strip(), {})
            column |= {row.split()[0]: row[start:end].strip() for row in rows}
    return columns


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_the_table_has_the_settings_that_differ_and_all_metrics(
    seeds: list[int], trained: Path
) -> None:
    """Of several seeds their mean and its deviation."""
    groups = {"1": [f"circle-{seed}" for seed in seeds], "2": [f"arc-{seed}" for seed in seeds]}
    columns = columns_of(compared(trained, *groups["1"], *groups["2"]).stdout)
    assert columns["loss"] == {"1": "circle", "2": "arcface"}
    assert columns["m"] == {"1": "0.028", "2": "0.248"}
    assert columns["seeds"] == dict.fromkeys("12", ", ".join(map(str, seeds)))
    assert not {"net", "epochs", "seed", "data_dir"} & set(columns)
    assert {name.removesuffix(" %") for name in columns}.isdisjoint(OF_UNSEEN)  # no run has one
    for number, names in groups.items():
        assert columns["run"][number] == (names[0] if len(names) == 1 else "2 runs")
        for metric in metrics_of(trained / names[0]):
            factor, digits, unit = (100, 2, " %") if METRICS[metric].share else (1, 4, "")
            values = [factor * metrics_of(trained / name)[metric] for name in names]
            spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
            assert columns[metric + unit][number] == f"{np.mean(values):.{digits}f}{spread}"


def test_json_has_everything(trained: Path) -> None:
    content = in_json(trained, *TRAININGS)
    first, second = content["groups"]
    assert (first["name"], second["name"]) == ("circle", "arcface")
    assert first["settings"]["gamma"] == 40
    assert [run["name"] for run in second["runs"]] == ["arc-0", "arc-1"]
    for group in (first, second):
        for run in group["runs"]:
            assert run["metrics"] == metrics_of(trained / run["name"])
        values = [run["metrics"]["eer"] for run in group["runs"]]
        assert group["metrics"]["eer"]["mean"] == pytest.approx(np.mean(values))
        assert group["metrics"]["eer"]["sd"] == pytest.approx(np.std(values, ddof=1))
    (test,) = content["tests"]
    assert test["group"] == "arcface"
    assert test["seeds"] == [[0, 0], [1, 1]]
    means = [group["metrics"]["1nn"]["mean"] for group in (first, second)]
    assert test["mean"] == pytest.approx(means[1] - means[0])
    assert test["interval"][0] < test["mean"] < test["interval"][1]
    assert 0 < test["p"] == test["p_corrected"] <= 1


@pytest.mark.parametrize(("wrong", "verdict"), [(1, "not significant"), (100, "significant")])
def test_a_small_difference_is_not_significant(wrong: int, verdict: str, outputs: Path) -> None:
    for name, count in (("circle-0", 0), ("arc-0", wrong)):
        path = outputs / name / "embeddings.npz"
        arrays = dict(np.load(path))
        arrays["neighbor_labels"][:, 0] = arrays["labels"]
        arrays["neighbor_labels"][:count, 0] = (arrays["labels"][:count] + 1) % 10
        np.savez(path, **arrays)
    text = compared(outputs, "circle-0", "arc-0").stdout
    assert f"correct in 1 alone {wrong}, in 2 alone 0" in text
    (row,) = re.findall(r"95 % interval.*\n(.*)", text)
    assert re.search(rf"^2  -{100 * wrong / 360:.2f} .* seed 0 .*\d  {verdict}$", row)
    assert "about these trainings" in text


def test_a_sweep_is_all_its_finished_trainings(outputs: Path) -> None:
    cells = outputs / "losses" / "cells"
    cells.mkdir(parents=True)
    (outputs / "losses" / "sweep.toml").write_text("")
    for name in TRAININGS:
        (outputs / name).rename(cells / name)
    groups = in_json(outputs, "losses")["groups"]
    assert [run["name"] for group in groups for run in group["runs"]] == list(TRAININGS)
    (cells / "circle-1" / "history.csv").unlink()
    # the sweep evaluates it, with as many images as the others, which `compare` does not know
    (cells / "arc-1" / "eval.json").unlink()
    result = compared(outputs, "losses")
    assert "2 of 4 trainings of losses are not finished" in result.stderr
    assert columns_of(result.stdout)["seeds"] == {"1": "0", "2": "0"}
    assert not (cells / "arc-1" / "eval.json").exists()


def test_a_run_that_is_not_finished_is_compared_and_named(outputs: Path) -> None:
    changed(outputs / "arc-0", "half", "epochs = 1", "epochs = 2")
    result = compared(outputs, "circle-0", "half")
    assert "half has trained 1 of 2 epochs" in result.stderr
    assert columns_of(result.stdout)["run"] == {"1": "circle-0", "2": "half"}


def test_a_run_without_a_report_is_evaluated(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []

    def load(name: str, folder: Path, **others: Any) -> Dataset:
        folders.append(folder)
        return load_dataset(name, folder, **others)

    monkeypatch.setattr("circlemnist.evaluation.evaluate.load_dataset", load)
    before = metrics_of(outputs / "arc-0")
    (outputs / "arc-0" / "eval.json").unlink()
    groups = in_json(outputs, "circle-0", "arc-0", "--data-dir", "there")["groups"]
    assert folders == [Path("there")]
    assert groups[1]["runs"][0]["metrics"] == pytest.approx(before)
    assert (outputs / "arc-0" / "eval.json").exists()


def test_different_images_are_in_the_table_and_not_tested(outputs: Path) -> None:
    changed(outputs / "arc-0", "held", "holdout = 0", "holdout = 360")
    path = outputs / "held" / "eval.json"
    path.write_text(path.read_text().replace('"test"', '"validation"'))
    text = compared(outputs, "circle-0", "held").stdout
    against = "against 1,437 training images"
    held = f"digits, 360 validation images, {against}: metrics on different"
    assert f"360 test images, {against}; {held}" in text
    assert "no test of 2: they were evaluated on different images" in text
    assert columns_of(text)["holdout"] == {"1": "0", "2": "360"}


def test_several_groups_are_tested_against_the_first(outputs: Path) -> None:
    changed(outputs / "arc-0", "third", "momentum = 0.9", "momentum = 0.8")
    changed(outputs / "arc-1", "fourth", "momentum = 0.9", "momentum = 0.8")
    names = ("circle-0", "circle-1", "arc-0", "arc-1", "third", "fourth")
    arguments = ("--outputs", outputs, "--kind", "none", "--metric", "map@r")
    text = invoke("compare", *names, *arguments).stdout
    assert "each against 1, 2 tests, p corrected by Holm; on the same 360 test images:" in text
    (rows,) = re.findall(r"difference in map@r, %.*\n(.*\n.*)", text)
    assert [row.split()[0] for row in rows.splitlines()] == ["2", "3"]
    rows = [line.split("  ")[1] for line in text.splitlines() if line.startswith("3  ")]
    assert {"arcface", "loss arcface, momentum 0.8"} <= set(rows)
    text = compared(outputs, "circle-0", "circle-1").stdout
    assert columns_of(text)["seeds"] == {"1": "0, 1"}
    assert "no test: it takes two groups, and this is one group" in text


def test_groups_that_are_the_same_on_each_seed_count_as_no_test(outputs: Path) -> None:
    for seed in (0, 1):
        changed(outputs / f"circle-{seed}", f"same-{seed}", "momentum = 0.9", "momentum = 0.8")
    names, head = ["circle-0", "circle-1", "same-0", "same-1"], "each against 1, {}; on the same"
    for more, count in (([], "no test"), (["arc-0", "arc-1"], "one test")):
        text = invoke("compare", *names, *more, "--outputs", outputs, "--kind", "none").stdout
        assert head.format(count) in text
        assert "the same on each seed: no test" in text


def test_a_run_in_two_places_counts_once(outputs: Path) -> None:
    shutil.copytree(outputs / "arc-0", outputs / "copy")
    result = compared(outputs, "circle-0", "arc-0", "copy")
    assert "copy is left out: another run has its settings and its seed" in result.stderr
    assert columns_of(result.stdout)["seeds"] == {"1": "0", "2": "0"}


def test_what_cannot_be_compared_is_said_in_one_line(outputs: Path, tmp_path: Path) -> None:
    (outputs / "empty" / "cells").mkdir(parents=True)
    (outputs / "empty" / "sweep.toml").write_text("")
    (outputs / "arc-1" / "eval.json").write_text("{")
    for names, words in (
        (("circle-0", "nothing"), "no run or sweep 'nothing'"),
        (("x" * 300, "circle-0"), "no run or sweep"),
        (("circle-0",), "circle-0 is one run alone"),
        (("circle-0", "arc-0", outputs / "circle-0"), "circle-0 is given twice"),
        ((tmp_path, "arc-0"), "no run or sweep"),
        ((), "RUN|SWEEP"),
        (("empty",), "empty has trained nothing yet"),
        (("circle-0", "arc-1"), "eval.json is damaged: run `circlemnist eval"),
        (("circle-0", "arc-0", "--metric", "unseen/eer"), "--metric unseen/eer is not of all runs"),
    ):
        assert_one_line_error(invoke("compare", *names, "--outputs", outputs), words)
    assert_one_line_error(invoke("compare", "a", "b", "--outputs", "x" * 300), "no run or sweep")
    assert_one_line_error(invoke("eval", "--outputs", "x" * 300), "no runs in")


def test_compare_has_columns_of_seen_and_unseen(unseen_run: Path, finished_run: Path) -> None:
    table = invoke("compare", unseen_run, finished_run, "--kind", "none").stdout
    header = next(line for line in table.splitlines() if "unseen/recall@1 %" in line)
    assert "nan" not in table
    rows = table.split(header)[1].splitlines()[1:3]
    place = header.index("unseen/recall@1 %")
    assert [row[place:].split()[0] == "–" for row in rows] == [False, True]


def test_pictures_are_in_a_folder_that_is_no_run(outputs: Path) -> None:
    args = ("circle-0", "arc-0", "--outputs", outputs)
    before = {path.name for path in outputs.iterdir()}
    result = invoke("compare", *args, "--projection", "pca", "--width", 400, "--json")
    assert result.exit_code == 0, result.output
    folder = outputs / "comparisons" / "circle-0_arc-0"
    names = [f"{kind}-pca" if "projection" in COMPARED[kind].uses else kind for kind in COMPARED]
    expected = [str(folder / f"{name}.png") for name in names]
    assert json.loads(result.stdout)["pictures"] == expected
    for path in expected:
        assert imread(path).shape[1] == 400
    assert {path.name for path in outputs.iterdir()} == {*before, "comparisons"}
    assert find_run(outputs, None).name in TRAININGS
    assert_one_line_error(invoke("plot", "comparisons", "--outputs", outputs), "no run")


def test_pictures_go_where_they_are_wanted(outputs: Path, tmp_path: Path) -> None:
    args = ("--kind", "history", "--theme", "dark", "--out", tmp_path / "here")
    result = invoke("compare", "circle-0", "arc-0", "--outputs", outputs, *args)
    assert f"picture: {tmp_path / 'here' / 'history-dark.png'}" in result.stdout.splitlines()
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["history-dark.png"]


def test_flags_without_effect_are_refused(tmp_path: Path) -> None:
    for flags, words in (
        (("--kind", "none", "--theme", "dark"), ("--theme has no effect with --kind none",)),
        (("--kind", "none", "--out", tmp_path), ("--out has no effect with --kind none",)),
        (("--kind", "circle", "--projection", "pca"), ("--projection", "--kind circle")),
        (("--kind", "circle", "--kind", "none"), ("--kind none goes with no other",)),
    ):
        assert_one_line_error(invoke("compare", "a", "b", *flags), *words)


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["a"], "a"),
        (["a", "runs/b/"], "a_b"),
        (list("abcd"), "a_and_3_more_"),
        (["a" * 200, "b" * 200], f"{'a' * 50}_and_1_more_"),
    ],
)
def test_a_folder_of_pictures_is_named_after_what_is_compared(
    names: list[str], folder: str
) -> None:
    assert re.fullmatch(rf"{folder}([0-9a-f]{{8}})?", folder_name(names))
    assert folder_name([*"abcd"]) != folder_name([*"abce"])
