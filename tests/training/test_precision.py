"""The precision of a training is that of all its processes, on all their machines."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from circlemnist.config import Config
from circlemnist.models.precision import Probe
from circlemnist.training.build import resolve_run_precision
from circlemnist.training.processes import Processes

FAST, SLOW = Probe(gain=1.5), Probe(gain=0.9)


class Two:
    """Stands for two processes, of which the other one says that its machine is exact, or not."""

    def __init__(self, other: int) -> None:
        self.other = other

    def run_on_all(self, work: Callable[[], Any]) -> Any:
        return work()

    def maximum(self, value: int) -> int:
        return max(value, self.other)


@pytest.mark.parametrize(
    ("found", "local_rank", "other", "expected"),
    [
        (FAST, 0, 0, "bfloat16"),
        (FAST, 0, 1, "float32"),
        (SLOW, 0, 0, "float32"),
        (SLOW, 1, 0, "bfloat16"),
        (FAST, 1, 1, "float32"),
    ],
    ids=["both", "one", "other", "second of one", "second of other"],
)
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_all_processes_take_what_every_machine_has(
    precision: str,
    found: Probe,
    local_rank: int,
    other: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first process of a machine alone looks at its processor."""
    looks: list[int] = []

    def probe() -> Probe:
        looks.append(local_rank)
        return found

    monkeypatch.setattr("circlemnist.models.precision.probe", probe)
    words = {"RANK": local_rank, "WORLD_SIZE": 2, "LOCAL_RANK": local_rank, "LOCAL_WORLD_SIZE": 2}
    for name, value in {**words, "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    config = Config(device="cpu", precision=precision)
    taken = resolve_run_precision(config, None, cast(Processes, Two(other))).precision
    assert taken == ("float32" if precision == "float32" else expected)
    assert len(looks) == (precision == "auto" and local_rank == 0)
