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
from circlemnist.training import processes
from circlemnist.training.build import build_training
from circlemnist.training.loop import fit
from circlemnist.training.processes import ALONE, Processes, join_processes
from circlemnist.training.progress import Progress
from circlemnist.training.state import TrainState
from tests.conftest import assert_one_line_error, invoke
from tests.losses.processes import run

# shares of 16 and 15 images; BatchNorm, a folded embedding, and losses that keep a state
CONFIG = Config(dataset="digits", net="tiny", batch_size=31, epochs=2, lr=0.01)
CONFIGS = {
    "circle": CONFIG,
    "folded": replace(CONFIG, fold=8, dim=3, hidden_layers=1),
    "class weights": replace(CONFIG, loss="circle-class", gamma=None, m=None, lr=0.01),
    "adacos": replace(CONFIG, loss="adacos", gamma=None, m=None, lr=0.01),
    "center": replace(CONFIG, loss="center", gamma=None, m=None, lr=0.01, net="article"),
}
IMAGES = 124
STOP = 6  # steps, 2 of them in the second epoch


def images() -> Split:
    return load_dataset("digits", Path("unused")).train.where(torch.arange(IMAGES))


def built(config: Config, together: Processes) -> TrainState:
    """In float64, in which the steps of many processes do not grow apart from those of one."""
    state = build_training(config, images(), together)
    state.embedder.double()
    state.objective.double()
    state.forward = lambda pixels: state.embedder.stages(pixels.double())
    return state


class StopAt(Progress):
    """A signal comes to this process amid the step of that number."""

    def __init__(self, config: Config, step: int, largest: Any) -> None:
        super().__init__("quiet", config, IMAGES)
        self.stop, self.left = StopSignals(largest), step

    def step(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            self.stop.received = signal.SIGTERM


def trained(config: Config, folder: Path, together: Processes = ALONE) -> dict[str, Any]:
    """Train to the end, from the checkpoint where there is one; what there is to compare."""
    state = built(config, together)
    if Run(folder).checkpoint_file.exists():
        state.restore(Run(folder))
    folder.mkdir(exist_ok=True)
    progress = Progress("quiet", config, IMAGES)
    fit(state, config, images(), Run(folder), progress, StopSignals(together.maximum))
    return found(state)


def found(state: TrainState) -> dict[str, Any]:
    parts = {"embedder": state.embedder, "objective": state.objective}
    return {
        **{
            f"{part} {name}": value.tolist()
            for part, module in parts.items()
            for name, value in module.state_dict().items()
            if isinstance(value, torch.Tensor)
        },
        "history": [[row.loss, row.mean_sp, row.mean_sn, row.violating] for row in state.history],
    }


def assert_alike(these: dict[str, Any], those: dict[str, Any], exactly: bool = False) -> None:
    assert these.keys() == those.keys()
    for name, value in these.items():
        ours, wanted = (torch.tensor(v, dtype=torch.float64) for v in (value, those[name]))
        # what is shown of the pairs is kept in float32
        close = 1e-6 if name == "history" else 1e-9
        tolerances = {"rtol": 0.0 if exactly else close, "atol": 0.0 if exactly else close}
        torch.testing.assert_close(ours, wanted, **tolerances, msg=lambda m, n=name: f"{n}: {m}")


def _many(rank: int, world: int) -> dict[str, Any]:
    """All that needs several processes, which share the folder that they work in."""
    here = Processes(rank, world, "gloo")
    folder = Path.cwd()
    ends = {}
    for name, config in CONFIGS.items():
        own = folder / f"{name} {rank}"  # only the first one's is written into
        ends[name] = trained(config, own, here)
        ends[name]["files"] = sorted(path.name for path in own.iterdir())
    state = built(CONFIG, here)
    # the signal comes to the last process alone
    progress = StopAt(CONFIG, STOP if rank == world - 1 else 0, here.maximum)
    try:
        fit(state, CONFIG, images(), Run(folder / "parts"), progress, progress.stop)
    except Stopped as stopped:
        ends["stopped"] = [state.step, stopped.exit_code]
    ends["errors"] = _errors(here)
    return ends


def _errors(here: Processes) -> list[str]:
    """What every process hears of an error of one of them."""
    words = []

    def fails() -> None:
        raise SettingError("lr", f"is wrong in process {here.rank}")

    for work in (here.run_on_rank_zero, here.run_on_all):
        try:
            work(fails if here.rank == 1 or work == here.run_on_rank_zero else lambda: None)
        except UserError as error:
            words.append(str(error))
    return [
        *words,
        here.run_on_rank_zero(lambda: f"from {here.rank}"),
        str(here.run_on_all(lambda: here.rank)),
    ]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The shared folder, and what each of two processes returned."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "parts").mkdir()
    return folder, run(_many, 2, folder)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_end_where_one_does(
    name: str, two: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Weights, running statistics, the state of the loss, and the rows of the history."""
    first, second = ({**ends[name]} for ends in two[1])
    assert first.pop("files") == ["history.csv", "last.pt"]
    assert second.pop("files") == []
    assert_alike(first, second, exactly=True)
    assert_alike(first, trained(CONFIGS[name], tmp_path / "one"))


def test_signal_to_one_process_stops_all_at_the_same_step_and_one_process_goes_on(
    two: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, both = two
    assert [ends["stopped"] for ends in both] == [[STOP, 128 + signal.SIGTERM]] * 2
    assert_alike(trained(CONFIG, folder / "parts"), trained(CONFIG, tmp_path / "whole"))


def test_an_error_of_one_process_is_raised_in_all(two: tuple[Path, list[dict[str, Any]]]) -> None:
    for rank, ends in enumerate(two[1]):
        of_first, of_second = "`lr` is wrong in process 0", "`lr` is wrong in process 1"
        assert ends["errors"] == [of_first, of_second, "from 0", str(rank)]


def test_batch_smaller_than_the_number_of_processes_is_refused(split: Split) -> None:
    with pytest.raises(SettingError, match="`batch_size` must be ≥ 5, the processes"):
        build_training(replace(CONFIG, batch_size=4), split, Processes(0, 5))


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """As torchrun tells the second of two processes; the seconds that it waits for the first."""
    told = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {**told, "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    waits: list[float] = []
    monkeypatch.setattr(process.time, "sleep", waits.append)
    return waits


def test_place_is_what_a_launcher_tells(
    second_of_two: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert torchrun_ranks() == Ranks(1, 2, 1, 2)
    monkeypatch.setenv("WORLD_SIZE", "many")
    assert torchrun_ranks() == Ranks(0, 1, 0, 1)


def test_an_error_is_left_to_the_first_process(second_of_two: list[float]) -> None:
    """Which torchrun takes for the end of all; else this one speaks after a while."""
    assert_one_line_error(invoke("train", "--lr", "much"), "--lr")
    assert_one_line_error(invoke("train", "--resume", "none"), "none")
    assert second_of_two == [process.PATIENCE] * 2


def test_settings_are_printed_once(second_of_two: object) -> None:
    result = invoke("train", "--dry-run")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize("job", ["eval", "plot", "explore", "sweep", "compare"])
def test_other_jobs_are_of_one_process(job: str, second_of_two: object) -> None:
    assert_one_line_error(invoke(job), f"{job} is the work of one process")


@pytest.mark.parametrize(("device", "words"), [("cuda", "has 1"), ("mps", "one process alone")])
def test_devices_that_cannot_be_shared_are_refused(
    device: str, words: str, second_of_two: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "resolve_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SettingError, match=f"`device` {device}: .*{words}"), join_processes(device):
        pass


def test_others_that_cannot_be_met_are_named(
    second_of_two: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    words = r"cannot meet the other processes: .*MASTER_ADDR"
    with pytest.raises(UserError, match=words), join_processes("cpu"):
        pass


@pytest.mark.parametrize("speaks", [True, False])
def test_of_those_that_are_left_one_speaks(
    speaks: bool, second_of_two: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise Lost("another process of this training has ended", speaks)

    monkeypatch.setattr("circlemnist.training.run.train", lost)
    result = invoke("train", "--dataset", "digits")
    assert result.exit_code == 1
    said = "Error: another process of this training has ended\n"
    assert (result.stdout, result.stderr) == ("", said if speaks else "")
    assert second_of_two == []


def test_what_fails_as_another_process_has_gone_is_lost_and_the_first_to_notice_speaks() -> None:
    """And no launcher that ends all of them can hush it."""
    here = Processes(1, 2, "gloo", store := HashStore())
    before = signal.getsignal(signal.SIGTERM)
    assert store.add("another word", 1) == 1
    heard = []
    with StopSignals() as stop:
        for _ in range(2):
            with pytest.raises(Lost) as caught, here.detect_lost_process():
                raise RuntimeError("[gloo/transport/tcp/pair.cc:561] Connection closed by peer")
            heard.append(caught.value.speaks)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received is None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else before)
    assert heard == [True, False]
    with pytest.raises(RuntimeError, match="a fault of our own"), here.detect_lost_process():
        raise RuntimeError("a fault of our own")
