"""`torchrun -m circlemnist train`: it ends, stops, fails and goes on like one process."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from circlemnist.runs.checkpoint import load_checkpoint
from tests.process import ONE_THREAD, PROGRAM, fingerprint, run, start, wait_for

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
# few steps at a low rate: rounding, which differs, has not grown
CALM = ("train", "--dataset", "digits", "--net", "article", "--lr", "0.0001", "--epochs", "3")
LONG = ("train", "--dataset", "digits", "--net", "tiny", "--epochs", "12", "--name", "run")
PROGRAM_LINES = ("Error: ", "stopped")

pytestmark = pytest.mark.slow


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `run` and `start` start the program in two processes."""
    monkeypatch.setattr("tests.process.PROGRAM", [*TORCHRUN, "2", *PROGRAM[1:]])


def processes(launcher: subprocess.Popen[str]) -> dict[int, int]:
    """The process ids of the ranks."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    ranks = {}
    for child in children:
        environment = Path(f"/proc/{child}/environ").read_text().split("\0")
        ranks |= {int(line[5:]): int(child) for line in environment if line.startswith("RANK=")}
    return ranks


def program_lines(error: str) -> list[str]:
    """What the program says, among the reports of torchrun."""
    return [line for line in error.splitlines() if line.startswith(PROGRAM_LINES)]


def test_two_processes_end_as_one_does(tmp_path: Path, launched: None) -> None:
    many = run(tmp_path, *CALM, "--name", "many", "--snapshots", "--tensorboard", **ONE_THREAD)
    assert many.returncode == 0, many.stderr
    events = tmp_path / "outputs" / "many" / "tensorboard"
    # events.out.tfevents.TIME.HOST.PROCESS.COUNT
    assert len({path.name.split(".")[-2] for path in events.glob("events.*")}) == 1
    shutil.rmtree(events)
    alone = subprocess.run(
        [*PROGRAM, *CALM, "--name", "one", "--snapshots"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    # each line once: three epochs, the measures, where everything is
    assert many.stdout.count("\n") == alone.stdout.count("\n")
    one, two = tmp_path / "outputs" / "one", tmp_path / "outputs" / "many"
    files = [sorted(p.relative_to(f).as_posix() for p in f.rglob("*")) for f in (one, two)]
    assert files[0] == files[1]
    states = [load_checkpoint(folder / "last.pt") for folder in (one, two)]
    for name, wanted in states[0]["embedder"].items():
        torch.testing.assert_close(states[1]["embedder"][name], wanted, rtol=1e-5, atol=1e-5)
    for wanted, found in zip(states[0]["history"], states[1]["history"], strict=True):
        for name in ("loss", "mean_sp", "mean_sn", "violating", "lr"):
            assert found[name] == pytest.approx(wanted[name], rel=1e-4)
    facts = [json.loads((folder / "environment.json").read_text()) for folder in (one, two)]
    assert [fact["processes"] for fact in facts] == [1, 2]
    assert [fact["backend"] for fact in facts] == ["", "gloo"]


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize("target", ["the launcher", "rank 1"])
def test_a_signal_stops_all_at_the_same_step(target: str, tmp_path: Path, launched: None) -> None:
    """It is said once, with the command that goes on, which one process does."""
    with start(tmp_path, *LONG, **ONE_THREAD) as process:
        wait_for(process, "epoch 2/")
        if target == "the launcher":
            process.send_signal(signal.SIGINT)
        else:
            os.kill(processes(process)[1], signal.SIGTERM)
        rest, error = process.communicate()
    assert process.returncode != 0
    assert "epoch 12/" not in rest
    lines = program_lines(error)
    assert len(lines) == 1, error
    command = shlex.split(lines[0].partition("continue with: ")[2])
    assert command == ["circlemnist", "train", "--resume", "run"]
    assert load_checkpoint(tmp_path / "outputs" / "run" / "last.pt")["step"] < 12 * 5
    resumed = subprocess.run([*PROGRAM, *command[1:]], cwd=tmp_path, capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 12/12" in resumed.stdout


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")
def test_a_killed_process_ends_the_others_and_the_run_resumes_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two processes that are left one says so."""
    monkeypatch.setattr("tests.process.PROGRAM", [*TORCHRUN, "3", *PROGRAM[1:]])
    (tmp_path / "whole").mkdir()
    assert run(tmp_path / "whole", *LONG, **ONE_THREAD).returncode == 0
    with start(tmp_path, *LONG, **ONE_THREAD) as process:
        wait_for(process, "epoch 3/")
        os.kill(processes(process)[0], signal.SIGKILL)
        _, error = process.communicate()
    assert process.returncode != 0
    lines = program_lines(error)
    assert len(lines) == 1, error
    assert "another process of this training has ended" in lines[0]
    assert f"--resume {tmp_path / 'outputs' / 'run'}" in lines[0]
    resumed = run(tmp_path, "train", "--resume", "run", **ONE_THREAD)
    assert resumed.returncode == 0, resumed.stderr
    assert fingerprint(tmp_path / "outputs" / "run") == fingerprint(
        tmp_path / "whole" / "outputs" / "run"
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--lr", "much"), "--lr"),
        (("--outputs", "file/below"), "file/below"),
    ],
)
def test_an_error_is_one_line_of_all_processes(
    args: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.process.PROGRAM", [*TORCHRUN, "3", *PROGRAM[1:]])
    (tmp_path / "file").touch()
    found = run(tmp_path, "train", "--dataset", "digits", "--epochs", "1", *args, **ONE_THREAD)
    assert found.returncode != 0
    lines = program_lines(found.stderr)
    assert len(lines) == 1, found.stderr
    assert words in lines[0]
    assert not (tmp_path / "outputs").exists()
