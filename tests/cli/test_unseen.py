"""Unseen classes on the command line: named, refused, shown."""

import json
import tomllib
from pathlib import Path

from tests.conftest import invoke


def test_classes_are_kept_in_order() -> None:
    for given in ("8, 0,3", "3+8+0"):
        result = invoke("train", "--unseen", given, "--dry-run")
        assert tomllib.loads(result.stdout)["unseen"] == "0,3,8"


def test_compare_has_columns_of_seen_and_unseen(unseen_run: Path, finished_run: Path) -> None:
    table = invoke("compare", unseen_run, finished_run, "--kind", "none").stdout
    header = next(line for line in table.splitlines() if "unseen/recall@1 %" in line)
    assert "nan" not in table
    rows = table.split(header)[1].splitlines()[1:3]
    place = header.index("unseen/recall@1 %")
    assert [row[place:].split()[0] == "–" for row in rows] == [False, True]


def test_eval_tells_seen_and_unseen_apart(unseen_run: Path) -> None:
    report = json.loads((unseen_run / "eval.json").read_text())
    metrics = report["metrics"]
    assert report["unseen"] == [0, 3, 8]
    assert {"unseen/map@r", "unseen/tar@far=1e-04", "few-shot/unseen"} < set(metrics)
    table = invoke("eval", unseen_run).stdout
    first, *rows = table.splitlines()
    assert first.startswith("digits, 255 test images of seen classes, by cosine, run ")
    shown = {row.split()[0]: row.split()[1] for row in rows}
    assert set(shown) == set(metrics)
    for name, value in metrics.items():
        wanted = f"{value:.4f}" if "mean_s" in name else f"{100 * value:.2f}"
        assert shown[name] == wanted
