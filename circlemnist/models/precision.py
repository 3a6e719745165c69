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
# what keeps a library from some of the processor's instructions
RESTRAINTS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
LOADED = "loaded\n"  # what the process that tries it prints first
WORTHWHILE = 1.1  # times as fast as float32: what is less may be chance
ALIKE = 0.9  # least cosine of the gradients in both, which rounding leaves at 0.98
# what ends a process from within, and would again
FAULTS = ("SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT")
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
    if precision == "auto":
        wanted = probe().worthwhile if device.type == "cpu" else not bfloat16_problem(device)
        return "bfloat16" if wanted else "float32"
    if precision == "bfloat16" and (problem := bfloat16_problem(device)):
        raise SettingError("precision", f"bfloat16: {problem}; use `precision` auto")
    return precision


def bfloat16_problem(device: torch.device) -> str:
    """Say why a device cannot train in bfloat16; empty where it can, even if it were slower."""
    if device.type == "cpu":
        return probe().problem
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return ""
    return "of GPUs only some have it, and this one does not"


@dataclass(frozen=True)
class Probe:
    """What is known of bfloat16 on a processor."""

    problem: str = ""  # why it cannot be used, in words; empty where it can
    gain: float = 0.0  # times as fast as in float32 a step of training is; 0 where not known

    @property
    def usable(self) -> bool:
        return not self.problem

    @property
    def worthwhile(self) -> bool:
        return self.usable and self.gain >= WORTHWHILE


@cache
def probe() -> Probe:
    """Return what is known of this machine's processor; tried now where nothing is known yet."""
    processor = dict(torch.cpu.get_capabilities())
    if not any("bf16" in name and there for name, there in processor.items()):
        return Probe("this processor does not announce it")
    file = probe_file()
    if file is not None:
        with suppress(OSError, ValueError, KeyError, TypeError):  # damaged is as none
            content = json.loads(file.read_text("utf-8"))
            return Probe(str(content["problem"]), float(content["gain"]))
    result, lasting = _try_in_child()
    if file is not None and lasting:
        write_probe(result, file)
    return result


def probe_file() -> Path | None:
    """Return the file of the result with this processor, kernel and torch; None without home.

    It is in `$XDG_CACHE_HOME`, or `~/.cache` where that is not set.
    """
    about = [dict(torch.cpu.get_capabilities()), platform.release(), torch.__version__]
    about += [[name, os.environ[name]] for name in RESTRAINTS if name in os.environ]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return caches / "circlemnist" / f"bfloat16-{digest[:16]}.json"


def write_probe(result: Probe, file: Path) -> None:
    """Keep a result for the next time, where the folder can be written."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(asdict(result)) + "\n")


def _try_in_child() -> tuple[Probe, bool]:
    """The result of a process that tries it, and whether another one would have the same."""
    # that process finds what this one imports, wherever it came from
    paths = os.pathsep.join(str(path) or str(Path.cwd()) for path in sys.path)
    try:
        # in a session of its own: Ctrl-C is for this process alone
        child = subprocess.run(
            COMMAND,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT,
        )
    except OSError:
        return Probe("no process could be started to try it"), False
    except subprocess.TimeoutExpired as late:
        # one that has not yet loaded torch, from a far disk, says nothing about the processor
        loaded = LOADED in (late.stdout or b"").decode()
        return Probe(f"a process that tried it here did not end within {LIMIT:g} s"), loaded
    if child.returncode:
        names = {-getattr(signal, name): name for name in FAULTS if hasattr(signal, name)}
        name = names.get(child.returncode)
        return Probe(f"a process that tried it here ended with {name or 'an error'}"), bool(name)
    try:
        values = json.loads(child.stdout.decode().removeprefix(LOADED))
        gain, cosine = values["float32"] / values["bfloat16"], values["cosine"]
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        return Probe("a process that tried it here gave no answer"), False
    if not cosine >= ALIKE:  # nor where it is not a number
        return Probe("a process that tried it here found wrong gradients"), True
    return Probe(gain=round(gain, 2)), True


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
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it may die, and leaves no core then
    print(LOADED, end="", flush=True)
    print(json.dumps(_timed_steps()))
