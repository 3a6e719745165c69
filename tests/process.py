"""The program as a real process, and what a run is compared by."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

PROGRAM = [sys.executable, "-m", "circlemnist"]
# many short processes beside one another: one thread each, or they wait for one another
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run(folder: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in `folder` to its end."""
    return subprocess.run(
        [*PROGRAM, *args],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def start(
    folder: Path, *args: str, stdin: int | None = None, **environment: str
) -> subprocess.Popen[str]:
    """Start the program in `folder`."""
    return subprocess.Popen(
        [*PROGRAM, *args],
        cwd=folder,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def wait_for(process: subprocess.Popen[str], beginning: str) -> None:
    """Read the output of a process up to the line that begins so."""
    assert process.stdout is not None
    while not process.stdout.readline().startswith(beginning):
        assert process.poll() is None


def fingerprint(folder: Path) -> dict[str, str]:
    """Hashes of all that a finished run holds, but for the seconds that its epochs took."""
    state = torch.load(folder / "last.pt", weights_only=True)
    with (folder / "history.csv").open() as file:
        history = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    report = json.loads((folder / "eval.json").read_text())
    return {
        "checkpoint": _digest(_plain(state)),
        "history": _digest(history),
        "metrics": _digest(report["metrics"]),
        "embeddings": hashlib.sha256((folder / "embeddings.npz").read_bytes()).hexdigest(),
    }


def _plain(value: Any) -> Any:
    """The same with tensors as their bytes, without seconds."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "seconds"}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()
