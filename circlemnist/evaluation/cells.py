"""Trainings that differ in some settings: what was varied, and what each reached."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from circlemnist.config import Config, setting_type
from circlemnist.errors import UserError
from circlemnist.limits import Value
from circlemnist.runs.whole_files import write_text, writing


@dataclass(frozen=True)
class Cell:
    """One training of a sweep, once it is measured.

    Attributes:
        varied: its value of each setting that was varied, by the names of `Config`'s fields.
        seed: its seed, of as many as each combination was trained with.
        metrics: what it reached, as eval.json has it: shares as 0-1.
    """

    varied: dict[str, Value]
    seed: int
    metrics: dict[str, float]


def write_cells(path: Path, cells: Sequence[Cell]) -> None:
    """Write a line a cell, whole: the settings that vary, the seed, the metrics.

    Raises:
        UserError: the folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if cells:
        varied, metrics = list(cells[0].varied), list(cells[0].metrics)
        writer.writerow([*varied, "seed", *metrics])
        for cell in cells:
            settings = [cell.varied[name] for name in varied]
            writer.writerow([*settings, cell.seed, *(cell.metrics[name] for name in metrics)])
    with writing(path):
        write_text(path, text.getvalue())


def read_cells(path: Path) -> list[Cell]:
    """Read what `write_cells` wrote.

    Raises:
        UserError: the file cannot be read, or holds no cells.
    """
    try:
        rows = list(csv.reader(path.read_text("utf-8").splitlines()))
        return _cells(rows) if rows else []
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {error}; run the `sweep` again") from error


def _cells(rows: list[list[str]]) -> list[Cell]:
    names = rows[0]
    seed = names.index("seed")
    if not set(names[:seed]) <= set(Config.__dataclass_fields__):
        raise ValueError("it varies what is no setting")
    found = []
    for row in rows[1:]:
        values = dict(zip(names, row, strict=True))
        varied = {name: _value(name, values[name]) for name in names[:seed]}
        metrics = {name: float(values[name]) for name in names[seed + 1 :]}
        found.append(Cell(varied, int(values["seed"]), metrics))
    return found


def _value(name: str, text: str) -> Value:
    kind = setting_type(name)
    return text == "True" if kind is bool else kind(text)
