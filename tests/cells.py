"""The cells of a sweep, as its results.csv lists them."""

import csv
from pathlib import Path

from circlemnist.config import setting_type
from circlemnist.evaluation.group import Cell
from circlemnist.limits import Value


def read_cells(path: Path) -> list[Cell]:
    """Read what `write_cells` wrote."""
    names, *rows = [*csv.reader(path.read_text("utf-8").splitlines())] or [[]]
    seed = names.index("seed") if names else 0
    cells = []
    for row in rows:
        values = dict(zip(names, row, strict=True))
        varied = {name: _value(name, values[name]) for name in names[:seed]}
        metrics = {name: float(values[name]) for name in names[seed + 1 :]}
        cells.append(Cell(varied, int(values["seed"]), metrics))
    return cells


def _value(name: str, text: str) -> Value:
    kind = setting_type(name)
    return text == "True" if kind is bool else kind(text)
