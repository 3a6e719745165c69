"""Where a network computes while it trains, and in which precision: float32 or bfloat16.

    python -m circlemnist.models.precision

tries bfloat16 on this processor: some announce it and end the process that uses it ("Illegal
instruction"). So it is tried once, in a process of its own, and the result is kept in the user's
cache folder. That process prints, as JSON, the milliseconds of a step of training in either
precision and the cosine between the gradients of both.
"""

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from circlemnist.config import SIDE, Config
from circlemnist.errors import SettingError
from circlemnist.models.embedder import build_embedder, forward_in
from circlemnist.runs.files import write_text

# without the folder it is started in, where a file may have the name of a module
COMMAND = (sys.executable, "-P", "-m", "circlemnist.models.precision")
LIMIT = 60.0  # seconds, of which it needs a few
WORTHWHILE = 1.1  # times as fast as float32: what is less may be chance
ALIKE = 0.9  # least cosine of the gradients in both, which rounding leaves at 0.98
BATCH, ROUNDS = 100, 5
PRECISIONS = ("float32", "bfloat16")


def resolve_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        SettingError: this machine has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((kind for kind, usable in there.items() if usable), "cpu"))
    if not there.get(name, True):
        raise SettingError("device", f"{name}: this machine has no such device; use `device` auto")
    return torch.device(name)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "float32" or "bfloat16" for either, or for "auto".

    With auto it is bfloat16 on a GPU that has it, and on a CPU where it works and is faster.

    Raises:
        SettingError: bfloat16 is asked for, and the device has none.
    """
    if precision == "float32":
        return precision
    known = probe() if device.type == "cpu" else _known_of_gpu(device)
    if precision == "auto":
        return "bfloat16" if known.gain >= WORTHWHILE else "float32"
    if known.problem:
        mend = 'use `precision` auto, or write "float32" into config.toml of a run that goes on'
        raise SettingError("precision", f"bfloat16: {known.problem}; {mend}")
    return precision


@dataclass(frozen=True)
class Probe:
    """What is known of bfloat16 on a processor."""

    problem: str = ""  # why it cannot be used, in words; empty where it can
    gain: float = 0.0  # times as fast as in float32 a step of training is; 0 where not known


def _known_of_gpu(device: torch.device) -> Probe:
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return Probe(gain=WORTHWHILE)
    return Probe("of GPUs only some have it, and this one does not")


@cache
def probe() -> Probe:
    """Return what is known of this machine's processor; tried now where nothing is known yet."""
    processor = dict(torch.cpu.get_capabilities())
    if not any("bf16" in name and there for name, there in processor.items()):
        return Probe("this processor does not announce it")
    with suppress(OSError, RuntimeError, ValueError, TypeError):  # damaged is as none
        return Probe(**json.loads(probe_file().read_text("utf-8")))
    try:
        result = _try_in_child()
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        return Probe("a process that tries it gave no answer")  # the next one may
    write_probe(result)
    return result


def probe_file() -> Path:
    """Return the file of the result with this processor, kernel and torch.

    It is in `$XDG_CACHE_HOME`, or `~/.cache` where that is not set; RuntimeError without a home.
    """
    about = [dict(torch.cpu.get_capabilities()), platform.release(), torch.__version__]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "circlemnist" / f"bfloat16-{digest[:16]}.json"


def write_probe(result: Probe) -> None:
    """Keep a result for the next time, where the folder can be written."""
    with suppress(OSError, RuntimeError):
        file = probe_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(asdict(result)) + "\n")


def _try_in_child() -> Probe:
    """Return the result of a process that tries it, in a session of its own: Ctrl-C is for us."""
    # it finds what this process imports, wherever that came from
    paths = os.pathsep.join(str(path) or str(Path.cwd()) for path in sys.path)
    child = subprocess.run(
        COMMAND,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=LIMIT,
    )
    if child.returncode < 0 and child.returncode != -signal.SIGKILL:  # which comes from outside
        name = signal.Signals(-child.returncode).name
        return Probe(f"a process that tried it here ended with {name}")
    values = json.loads(child.stdout)
    if not values["cosine"] >= ALIKE:  # nor where it is not a number
        return Probe("a process that tried it here found wrong gradients")
    return Probe(gain=round(values["float32"] / values["bfloat16"], 2))


def _timed_steps() -> dict[str, float]:
    """Train the default network by turns in both precisions, on one thread.

    Returns:
        "float32" and "bfloat16", the least milliseconds of a step; "cosine", of their gradients.
    """
    torch.set_num_threads(1)  # so that what else computes on the machine disturbs it little
    torch.manual_seed(0)
    config = Config()
    embedder = build_embedder(config)
    images, direction = torch.rand(BATCH, 1, SIDE, SIDE), torch.randn(BATCH, config.dim)
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    gradients: dict[str, Tensor] = {}
    for turn in range(ROUNDS + 1):
        for precision in PRECISIONS:
            embedder.zero_grad()
            begun = time.perf_counter()
            (forward_in(embedder, precision)(images)[-1] * direction).sum().backward()
            if turn:  # the first is not counted
                seconds[precision].append(time.perf_counter() - begun)
            parts = [p.grad.flatten() for p in embedder.parameters() if p.grad is not None]
            gradients[precision] = torch.cat(parts)
    cosine = torch.cosine_similarity(gradients["float32"], gradients["bfloat16"], dim=0)
    best = {precision: 1e3 * min(turns) for precision, turns in seconds.items()}
    return {**best, "cosine": cosine.item()}


if __name__ == "__main__":
    print(json.dumps(_timed_steps()))
