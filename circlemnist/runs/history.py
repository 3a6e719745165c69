"""The history of a run, a row an epoch, as `history.csv`."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from circlemnist.errors import UserError
from circlemnist.runs.files import write_csv


@dataclass(frozen=True)
class Epoch:
    """One row of the history.

    `loss`, `mean_sp`, `mean_sn` and `violating`, the share of violating pairs, are means over the
    steps of the epoch, NaN where no batch had such pairs; `lr` is that of its last step.
    """

    epoch: int
    loss: float
    mean_sp: float
    mean_sn: float
    violating: float
    lr: float
    seconds: float


def write_history(path: Path, rows: Sequence[Epoch]) -> None:
    write_csv(path, [field.name for field in fields(Epoch)], map(asdict, rows))


def read_history(path: Path) -> list[Epoch]:
    """Read the epochs; none where the file is not there.

    Raises UserError where it cannot be read, or is no history.
    """
    if not path.exists():
        return []
    try:
        rows = csv.DictReader(path.read_text("utf-8").splitlines())
        return [
            Epoch(int(row.pop("epoch")), **{k: float(v) for k, v in row.items()}) for row in rows
        ]
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {error}; train the run again") from error
