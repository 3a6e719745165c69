"""`--precision`: what is taken is written into the run, which stays as it began."""

import tomllib
from multiprocessing import Pipe
from pathlib import Path

import pytest

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.models.embedder import Embedder, Forward, forward_in
from circlemnist.models.precision import Probe
from circlemnist.process import StopSignals
from circlemnist.sweep.worker import Worker, Workers
from tests.conftest import assert_one_line_error, invoke

FAST, SLOW, NONE = Probe(gain=1.5), Probe(gain=0.9), Probe("this processor dislikes it")
SMALL = ("--dataset", "digits", "--net", "tiny", "--epochs", 1, "--quiet", "--device", "cpu")


class Machine:
    """This one, with what is known of bfloat16 on it, and the precisions it trained in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found, self.precisions = FAST, list[str]()
        monkeypatch.setattr("circlemnist.models.precision.probe", lambda: self.found)
        monkeypatch.setattr("circlemnist.training.build.forward_in", self.forward_in)

    def forward_in(self, embedder: Embedder, precision: str) -> Forward:
        self.precisions.append(precision)
        return forward_in(embedder, "float32")  # bfloat16 may not be there


@pytest.fixture
def machine(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def begin(machine: Machine, found: Probe, *args: object) -> Path:
    """Train a run on a machine of which that is known, and return its file of settings."""
    machine.found = found
    result = invoke("train", *SMALL, "--name", "begun", *args)
    assert result.exit_code == 0, result.output
    return Path("outputs", "begun", "config.toml")


@pytest.mark.parametrize(
    ("found", "args", "expected", "later"),
    [
        (FAST, (), "bfloat16", SLOW),
        (FAST, ("--precision", "float32"), "float32", FAST),
        (SLOW, (), "float32", FAST),
        (SLOW, ("--precision", "bfloat16"), "bfloat16", SLOW),
        (NONE, (), "float32", FAST),
    ],
)
def test_a_run_keeps_the_precision_that_it_began_with(
    found: Probe, args: tuple[str, ...], expected: str, later: Probe, machine: Machine
) -> None:
    file = begin(machine, found, *args)
    assert tomllib.loads(file.read_text())["precision"] == expected
    machine.found = later
    assert invoke("train", "--quiet", "--resume", "begun").exit_code == 0
    assert machine.precisions == [expected] * 2


def test_bfloat16_is_refused_where_it_does_not_work(machine: Machine) -> None:
    machine.found = NONE
    result = invoke("train", *SMALL, "--precision", "bfloat16")
    assert_one_line_error(result, "--precision bfloat16", NONE.problem, "use --precision auto")
    assert not Path("outputs").exists()
    result = invoke("sweep", *SMALL, "--vary", "precision=float32,bfloat16")
    assert_one_line_error(result, "--precision bfloat16", NONE.problem)
    assert not Path("outputs").exists()


def test_a_run_of_bfloat16_says_how_it_goes_on_where_that_does_not_work(machine: Machine) -> None:
    file = begin(machine, FAST)
    machine.found = NONE
    result = invoke("train", "--resume", "begun")
    assert_one_line_error(result, NONE.problem, 'write precision = "float32" into', str(file))
    assert invoke("eval", "begun").exit_code == 0
    file.write_text(file.read_text().replace('"bfloat16"', '"float32"'))
    assert invoke("train", "--quiet", "--resume", "begun").exit_code == 0


def test_a_cell_of_a_sweep_keeps_the_precision_that_it_began_with(machine: Machine) -> None:
    config = Config(dataset="digits", net="tiny", epochs=1, device="cpu")
    for machine.found in (FAST, SLOW, NONE):
        answer = Worker(Pipe()[0], StopSignals()).answer(config, Path("cells", "one"))
    assert machine.precisions == ["bfloat16"] * 2
    assert answer.kind == "error"
    assert "one trains in bfloat16: this processor dislikes it" in answer.words


@pytest.mark.parametrize(("found", "expected"), [(FAST, "bfloat16"), (SLOW, "float32")])
def test_all_workers_of_a_sweep_are_told_one_precision(
    found: Probe, expected: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each for itself might find another."""
    given = list[str]()

    def give(_: object, claim: object, config: Config, folder: Path) -> None:
        given.append(config.precision)
        raise UserError("that is enough")

    monkeypatch.setattr(Workers, "give", give)
    machine.found = found
    assert_one_line_error(invoke("sweep", *SMALL, "--vary", "m=0.1,0.2"), "that is enough")
    assert given == [expected]
