"""Many processes train as one does: the same weights, one folder, one stop, one error."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import HashStore

from circlemnist import process
from circlemnist.config import Config
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.errors import Lost, SettingError, UserError
from circlemnist.process import Ranks, Stopped, StopSignals, torchrun_ranks
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.loop import fit
from circlemnist.training.processes import ALONE, Processes, join_processes
from circlemnist.training.state import TrainState
from tests.conftest import assert_one_line_error, invoke, set_ranks
from tests.losses.processes import run
from tests.training.helpers import Watcher

# shares of 16 and 15 images; BatchNorm, a folded embedding, and losses that keep a state
CONFIG = Config(dataset="digits", net="tiny", batch_size=31, epochs=2, lr=0.01)
CONFIGS = {
    "circle": CONFIG,
    "folded": replace(CONFIG, fold=8, dim=3, hidden_layers=1),
    "class weights": replace(CONFIG, loss="circle-class", gamma=None, m=None, lr=0.01),
    "adacos": replace(CONFIG, loss="adacos", gamma=None, m=None, lr=0.01),
    "center": replace(CONFIG, loss="center", gamma=None, m=None, lr=0.01, net="article"),
}
STOP = 6  # steps, 2 of them in the second epoch
Ends = dict[str, Any]


def train(config: Config, folder: Path, processes: Processes = ALONE, stop_at: int = 0) -> Ends:
    """Train 124 images, from the checkpoint where there is one; return what can be compared.

    In float64, in which the steps of many processes do not grow apart from those of one.
    """
    images: Split = load_dataset("digits", Path("unused")).train.where(torch.arange(124))
    state: TrainState = build_training(config, images, processes)
    state.embedder.double()
    state.objective.double()
    state.forward = lambda pixels: state.embedder.stages(pixels.double())
    folder.mkdir(exist_ok=True)
    if Run(folder).checkpoint_file.exists():
        state.restore(Run(folder))
    watcher = Watcher(config, stop_at)
    watcher.stop = StopSignals(processes.maximum)
    try:
        fit(state, config, images, Run(folder), watcher, watcher.stop)
    except Stopped as stopped:
        return {"stopped": [state.step, stopped.exit_code]}
    modules = {"embedder": state.embedder, "objective": state.objective}
    ends: Ends = {
        f"{part} {name}": value.tolist()
        for part, module in modules.items()
        for name, value in module.state_dict().items()
        if isinstance(value, torch.Tensor)
    }
    rows = [[row.loss, row.mean_sp, row.mean_sn, row.violating] for row in state.history]
    return {**ends, "history": rows}


def assert_close(ends: Ends, expected: Ends, exactly: bool = False) -> None:
    assert ends.keys() == expected.keys()
    for name, value in ends.items():
        ours, other = (torch.tensor(v, dtype=torch.float64) for v in (value, expected[name]))
        # the statistics of pairs are float32
        close = 0.0 if exactly else 1e-6 if name == "history" else 1e-9
        torch.testing.assert_close(
            ours, other, rtol=close, atol=close, msg=lambda m, n=name: f"{n}: {m}"
        )


def _work(rank: int, world: int) -> Ends:
    """All that needs several processes, which share the folder that they work in."""
    here = Processes(rank, world, "gloo")
    result: Ends = {}
    for name, config in CONFIGS.items():
        folder = Path(f"{name} {rank}")  # that of rank 0 alone is written into
        result[name] = train(config, folder, here)
        result[name]["files"] = sorted(path.name for path in folder.iterdir())
    # the signal comes to the last process alone
    result |= train(CONFIG, Path("parts"), here, STOP if rank == world - 1 else 0)

    def fail() -> None:
        raise SettingError("lr", f"is wrong in process {here.rank}")

    result["errors"] = []
    for run_on, failing in ((here.run_on_rank_zero, 0), (here.run_on_all, 1)):
        try:
            run_on(fail if rank == failing else lambda: None)
        except UserError as error:
            result["errors"].append(str(error))
    result["rank zero"] = here.run_on_rank_zero(lambda: here.rank)
    result["largest"] = here.maximum(rank + 5)  # as of two signals
    half = "bfloat16"
    result["precisions"] = [
        here.common_precision(precisions[rank]) for precisions in ((half, half), (half, "float32"))
    ]
    result["own"] = here.run_on_all(lambda: here.rank)
    return result


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Ends]]:
    """The shared folder, and what each of two processes returned."""
    folder = tmp_path_factory.mktemp("two")
    return folder, run(_work, 2, folder)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_end_where_one_does(
    name: str, two: tuple[Path, list[Ends]], tmp_path: Path
) -> None:
    """Weights, running statistics, the state of the loss, and the rows of the history."""
    first, second = ({**ends[name]} for ends in two[1])
    assert first.pop("files") == ["history.csv", "last.pt"]
    assert second.pop("files") == []
    assert_close(first, second, exactly=True)
    assert_close(first, train(CONFIGS[name], tmp_path))


def test_signal_to_one_process_stops_all_at_the_same_step_and_one_process_continues(
    two: tuple[Path, list[Ends]], tmp_path: Path
) -> None:
    folder, both = two
    assert [ends["stopped"] for ends in both] == [[STOP, 128 + signal.SIGTERM]] * 2
    assert_close(train(CONFIG, folder / "parts"), train(CONFIG, tmp_path))


def test_an_error_of_one_process_is_raised_in_all(two: tuple[Path, list[Ends]]) -> None:
    for rank, ends in enumerate(two[1]):
        assert ends["errors"] == [f"`lr` is wrong in process {failing}" for failing in (0, 1)]
        assert (ends["rank zero"], ends["own"], ends["largest"]) == (0, rank, 6)
        assert ends["precisions"] == ["bfloat16", "float32"]


@pytest.fixture
def rank_one(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The environment of the second of two processes; the seconds that it waits for rank 0."""
    set_ranks(monkeypatch, 1)
    waits: list[float] = []
    monkeypatch.setattr(process.time, "sleep", waits.append)
    return waits


def test_ranks_are_those_of_torchrun(rank_one: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert torchrun_ranks() == Ranks(1, 2, 1, 2)
    monkeypatch.setenv("WORLD_SIZE", "many")
    assert torchrun_ranks() == Ranks(0, 1, 0, 1)


def test_an_error_is_left_to_rank_zero(rank_one: list[float]) -> None:
    """torchrun ends all processes then; else this one reports it after a while."""
    assert_one_line_error(invoke("train", "--lr", "much"), "--lr")
    assert_one_line_error(invoke("train", "--resume", "none"), "none")
    assert rank_one == [process.PATIENCE] * 2


def test_settings_are_printed_once(rank_one: object) -> None:
    result = invoke("train", "--dry-run")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize("command", ["eval", "plot", "explore", "sweep", "compare"])
def test_other_commands_are_the_work_of_one_process(command: str, rank_one: object) -> None:
    assert_one_line_error(invoke(command), f"{command} is the work of one process")


@pytest.mark.parametrize(("device", "words"), [("cuda", "has 1"), ("mps", "one process alone")])
def test_devices_that_cannot_be_shared_are_refused(
    device: str, words: str, rank_one: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    refused = pytest.raises(SettingError, match=f"`device` {device}: .*{words}")
    with refused, join_processes(torch.device(device)):
        pass


def test_others_that_cannot_be_met_are_named(
    rank_one: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    words = r"cannot meet the other processes: .*MASTER_ADDR"
    with pytest.raises(UserError, match=words), join_processes(torch.device("cpu")):
        pass


@pytest.mark.parametrize("speaks", [True, False])
def test_one_of_the_remaining_processes_reports_the_loss(
    speaks: bool, rank_one: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise Lost("another process of this training has ended", speaks)

    monkeypatch.setattr("circlemnist.training.run.train", lose)
    result = invoke("train", "--dataset", "digits")
    assert result.exit_code == 1
    error = "Error: another process of this training has ended\n"
    assert (result.stdout, result.stderr) == ("", error if speaks else "")
    assert rank_one == []


def test_first_to_notice_a_lost_process_reports_it() -> None:
    """And no launcher that ends all of them can hush it."""
    here = Processes(1, 2, "gloo", store := HashStore())
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in signals]
    assert store.add("another word", 1) == 1
    speaks = []
    with StopSignals() as stop:
        for _ in range(2):
            with pytest.raises(Lost) as caught, here.detect_lost_process():
                raise RuntimeError("[gloo/transport/tcp/pair.cc:561] Connection closed by peer")
            speaks.append(caught.value.speaks)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received is None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    for number, handler in zip(signals, before, strict=True):
        signal.signal(number, handler)
    assert speaks == [True, False]
    with pytest.raises(RuntimeError, match="a fault of our own"), here.detect_lost_process():
        raise RuntimeError("a fault of our own")
