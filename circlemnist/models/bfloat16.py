"""Whether the processor of this machine trains in bfloat16, and faster than in float32.

Some announce it and end the process that uses it ("Illegal instruction"). So it is tried once, in a
process of its own, and what was found is kept in the user's cache folder.
"""

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch

from circlemnist.runs.whole_files import write_text

# without the folder it is started in, where a file may have the name of a module
COMMAND = (sys.executable, "-P", "-m", "circlemnist.models.bfloat16_probe")
LIMIT = 60.0  # seconds, of which it needs a few
LOADED = b"loaded\n"  # what it prints ahead of its answer
# what keeps a library from some of the processor's instructions
RESTRAINTS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
WORTHWHILE = 1.1  # times as fast as float32: what is less may be chance
ALIKE = 0.9  # least cosine of the gradients in both, which rounding leaves at 0.98
# what ends a process from within, and would again
FAULTS = ("SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT")


@dataclass(frozen=True)
class Probed:
    """What is known of bfloat16 on a processor.

    Attributes:
        problem: why it cannot be used, in words; empty where it can.
        gain: how many times as fast as in float32 a step of training is; 0 where it is not known.
    """

    problem: str = ""
    gain: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether it works, fast or slow."""
        return not self.problem

    @property
    def worthwhile(self) -> bool:
        """Whether it works and is faster than float32."""
        return self.usable and self.gain >= WORTHWHILE


@cache
def probed() -> Probed:
    """Return what was found on this machine; tried now where it is not known yet.

    A file that is damaged, or cannot be written, is as none.
    """
    processor = dict(torch.cpu.get_capabilities())
    if not any("bf16" in name and there for name, there in processor.items()):
        return Probed("this processor does not announce it")
    file = kept_in()
    if file is not None and (known := _read(file)) is not None:
        return known
    found, lasting = _tried()
    if file is not None and lasting:
        keep(found, file)
    return found


def kept_in() -> Path | None:
    """Return the file of what was found with this processor, kernel and torch; None without home.

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


def keep(found: Probed, file: Path) -> None:
    """Write what was found, for the next time, where the folder can be written."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(asdict(found)) + "\n")


def _read(file: Path) -> Probed | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(file.read_text("utf-8"))
        return Probed(str(content["problem"]), float(content["gain"]))
    return None


def _tried() -> tuple[Probed, bool]:
    """What a process that tries it finds, and whether another one would find the same."""
    # what this process imports the other one finds as well, wherever it came from
    # (by texts: Python passes over what else is among them)
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path if isinstance(path, str))
    try:
        # in a session of its own: Ctrl-C is for this process alone
        child = subprocess.Popen(
            COMMAND,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return Probed("no process could be started to try it"), False
    with child:
        try:
            answer = _answer(child)
        except subprocess.TimeoutExpired as late:
            child.kill()
            begun = LOADED in (late.output or b"")  # torch itself may come slowly, from a far disk
            return Probed(f"a process that tried it here did not end within {LIMIT:g} s"), begun
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        names = {-getattr(signal, name): name for name in FAULTS if hasattr(signal, name)}
        name = names.get(child.returncode)
        return Probed(f"a process that tried it here ended with {name or 'an error'}"), bool(name)
    try:
        found = json.loads(answer.removeprefix(LOADED))
        gain, cosine = found["float32"] / found["bfloat16"], found["cosine"]
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        return Probed("a process that tried it here gave no answer"), False
    if not cosine >= ALIKE:  # nor where it is not a number
        return Probed("a process that tried it here found wrong gradients"), True
    return Probed(gain=round(gain, 2)), True


def _answer(child: subprocess.Popen[bytes]) -> bytes:
    """What the process printed until its end.

    Raises:
        TimeoutExpired: it did not end within `LIMIT`, or within twice that once torch was loaded.
    """
    try:
        return child.communicate(timeout=LIMIT)[0]
    except subprocess.TimeoutExpired as late:
        if child.poll() is not None:
            return child.communicate()[0]  # this process was stopped meanwhile
        if LOADED not in (late.output or b""):
            raise
        return child.communicate(timeout=LIMIT)[0]
