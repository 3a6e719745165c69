"""Unseen classes on the command line: named, refused, shown."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.conftest import assert_one_line_error, invoke


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("10", ["from 0 to 9", "'10'"]),
        ("0,x", ["from 0 to 9", "'x'"]),
        ("0,,4", ["from 0 to 9", "''"]),
        ("-1", ["from 0 to 9", "'-1'"]),
        ("4,0,4", ["the class 4 twice"]),
        ("4", ["two classes or more, to tell apart", "4 alone"]),
        ("0,1,2,3,4,5,6,7,8", ["must leave two classes or more, and leaves 1"]),
        ("0,1,2,3,4,5,6,7,8,9", ["must leave two classes or more, and leaves 0"]),
        ("", ["must not be empty"]),
    ],
    ids=repr,
)
def test_what_names_no_classes_is_refused(given: str, words: list[str]) -> None:
    result = invoke("train", "--dataset", "digits", "--unseen", given)
    assert_one_line_error(result, "--unseen", *words)
    assert not Path("outputs").exists()


def test_classes_are_kept_in_order() -> None:
    for given in ("8, 0,3", "3+8+0"):
        result = invoke("train", "--unseen", given, "--dry-run")
        assert tomllib.loads(result.stdout)["unseen"] == "0,3,8"


def test_few_images_of_a_class_are_refused() -> None:
    args = ("--dataset", "digits", "--holdout", 1337, "--batch-size", 10, "--unseen", "1,2")
    assert_one_line_error(invoke("train", *args), "--unseen", "20 images or more", "and 4 has 8")
    assert not Path("outputs").exists()


def test_run_keeps_its_classes(unseen_run: Path) -> None:
    result = invoke("train", "--resume", unseen_run, "--unseen", "1")
    assert_one_line_error(result, "--unseen cannot be given with --resume")


def test_more_classes_a_batch_than_are_seen_leave_no_folder() -> None:
    args = ("--dataset", "digits", "--unseen", "0,1,2,3", "--classes-per-batch", 10)
    assert_one_line_error(invoke("train", *args), "--classes-per-batch", "must be ≤ 6", "not 10")
    assert not Path("outputs").exists()


def test_compare_has_columns_of_seen_and_unseen(unseen_run: Path, finished_run: Path) -> None:
    table = invoke("compare", unseen_run, finished_run).stdout
    header = next(line for line in table.splitlines() if "unseen/recall@1 %" in line)
    assert "nan" not in table
    rows = table.split(header)[1].splitlines()[1:3]
    place = header.index("unseen/recall@1 %")
    assert [row[place:].split()[0] == "–" for row in rows] == [False, True]


def test_eval_tells_seen_and_unseen_apart(unseen_run: Path) -> None:
    metrics = json.loads((unseen_run / "eval.json").read_text())["metrics"]
    table = invoke("eval", unseen_run).stdout
    first, *rows = table.splitlines()
    assert first.startswith("digits, 255 test images of seen classes, by cosine, run ")
    shown = {row.split()[0]: row.split()[1] for row in rows}
    assert set(shown) == set(metrics)
    for name, value in metrics.items():
        wanted = f"{value:.4f}" if "mean_s" in name else f"{100 * value:.2f}"
        assert shown[name] == wanted


def test_name_of_a_run_has_its_unseen_classes() -> None:
    args = ("--dataset", "digits", "--epochs", 1, "--net", "tiny", "--unseen", "7,2", "--quiet")
    assert invoke("train", *args).exit_code == 0
    (run,) = Path("outputs").iterdir()
    assert run.name.endswith("_circle_gamma80_m0.25_unseen27")
