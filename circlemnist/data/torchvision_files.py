"""The files of MNIST and its kin, as torchvision lays them out, and their arrays.

`MNIST/raw` holds what torchvision downloaded, packed or unpacked. `MNIST/arrays.npz` beside it is
ours: the same images as arrays, read in a twentieth of the time.

torchvision runs in a process of its own, so that the program need not import it, and can end it
when a name look-up hangs. The process completes `FOLDER/MNIST/raw`, writes `FOLDER/arrays.npz`, and
prints what `fetch` returns:

    python -m circlemnist.data.torchvision_files MNIST FOLDER SECONDS
"""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from circlemnist.errors import UserError
from circlemnist.process import cleanup
from circlemnist.runs.arrays import read_npz
from circlemnist.runs.files import atomic_write

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
# without the folder it is started in, where a file may have the name of a module
COMMAND = (sys.executable, "-P", "-m", "circlemnist.data.torchvision_files")
START = 60.0  # seconds for the process to import torchvision, from a slow disk
MIRRORS = 2  # servers that torchvision tries, one after the other


class DownloadError(UserError):
    """No server delivered the data set; the message says what each server did."""


def torchvision_arrays(
    kind: str, folder: Path, timeout: float, quiet: bool, say: Callable[[str], object]
) -> dict[str, np.ndarray]:
    """Return the images (N, 28, 28) and labels (N,) uint8 of both splits; see `load_dataset`.

    `kind` is a class in `torchvision.datasets`, and `folder` the root of its data sets.
    """
    name = "-".join(["arrays", *kind.split()[1:]])
    try:
        raw, pattern = _raw_files(kind, folder)
        raw = _place(raw, pattern, folder)
        own = raw.parent if raw.name == "raw" else raw
        return cached(
            own / f"{name}.npz",
            lambda: _state(raw, pattern),
            ARRAYS,
            lambda: _complete(kind, raw, timeout, quiet, say),
        )
    except OSError as error:
        path = error.filename or folder
        raise UserError(
            f"cannot read or write {path}: {error.strerror}; choose another `data_dir`"
        ) from error


def cached(
    path: Path,
    state: Callable[[], str],
    names: Sequence[str],
    make: Callable[[], dict[str, NDArray[Any]]],
) -> dict[str, NDArray[Any]]:
    """Return the arrays in `path`, or make and store them where it is damaged or out of date.

    They are out of date where the files they were made of are in another `state`. Nothing is stored
    where that cannot be: the folder may be read-only.
    """
    with suppress(ValueError):
        arrays = read_npz(path, ("state", *names))
        if str(arrays.pop("state")) == state():
            return arrays
    arrays = make()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            np.savez(temporary, **{**arrays, "state": np.array(state())})  # type: ignore[arg-type]
    return arrays


def _raw_files(kind: str, root: Path) -> tuple[Path, str]:
    """Return the folder of the files that torchvision reads, and the pattern of their names."""
    name, *split = kind.split()
    if name == "USPS":
        return root / name, "usps*.bz2"
    patterns = {"EMNIST": f"emnist-{''.join(split)}-*-ubyte", "QMNIST": "qmnist-*"}
    return root / name / "raw", patterns.get(name, "*-ubyte*")


def _place(raw: Path, pattern: str, folder: Path) -> Path:
    """Return the folder of the files of a data set: where torchvision puts them, or nearby.

    Its own folder may be `folder` or hold that, and may be written in small letters.
    """
    kind = raw.relative_to(folder).parts[0].lower()
    around = [*folder.glob("*"), folder.absolute(), folder.absolute().parent]
    own = [path for path in around if path.name.lower().replace("-", "") == kind]
    places = [raw, *(place for path in own for place in (path / "raw", path))]
    return next((place for place in places if any(place.glob(pattern))), raw)


def _state(raw: Path, pattern: str) -> str:
    """Names, sizes and times of the files of a data set; empty where there are none."""
    stats = [(path.name, path.stat()) for path in sorted(raw.glob(pattern))]
    return " ".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)


def _complete(
    kind: str, raw: Path, timeout: float, quiet: bool, say: Callable[[str], object]
) -> dict[str, np.ndarray]:
    """Let torchvision complete a copy of the files; when it is whole, move new files to `raw`.

    Two processes that do so at once have a copy each, and end with the same files.
    """
    if not raw.is_dir():  # a download: find out now whether it can be written
        with suppress(FileNotFoundError, NotADirectoryError):
            raw.stat()  # raises for a name that is too long, and a link to itself
        ancestor = next(path for path in raw.absolute().parents if os.path.lexists(path))
        if not (ancestor.is_dir() and os.access(ancestor, os.W_OK | os.X_OK)):
            raise UserError(f"cannot write into {ancestor}; choose another `data_dir`")
    name = tempfile.mkdtemp()
    with cleanup(lambda: shutil.rmtree(name, ignore_errors=True)):
        copy, pattern = _raw_files(kind, Path(name))
        copy.mkdir(parents=True)
        for path in raw.glob(pattern):
            shutil.copyfile(path, copy / path.name.replace(".idx", "-idx"))
        before = {path.name for path in copy.iterdir()}
        damaged, problem = _run(kind, Path(name), timeout, quiet)
        if problem is not None:
            if damaged:
                raise UserError(f"{raw / damaged[0]} is damaged, and not to be had now ({problem})")
            raise DownloadError(
                f"cannot download {kind} ({problem}); put its files into {raw}, name another "
                "`data_dir`, or train on `dataset` digits"
            )
        files = copy.glob(pattern)
        new = [path for path in files if path.name in damaged or path.name not in before]
        if damaged or not before or any(path.suffix == ".gz" for path in new):
            raw.mkdir(parents=True, exist_ok=True)
            for path in new:
                with atomic_write(raw / path.name) as temporary:
                    shutil.copyfile(path, temporary)
        for file in damaged:
            say(f"{raw / file} was damaged: it is replaced")
        return read_npz(Path(name) / "arrays.npz", ARRAYS)


def _run(kind: str, folder: Path, timeout: float, quiet: bool) -> tuple[list[str], str | None]:
    """Run the process, as `fetch` does, until it ends or no file has grown for too long."""
    is_watched = not quiet and sys.stderr is not None and sys.stderr.isatty()
    process = subprocess.Popen(
        [*COMMAND, kind, str(folder), str(timeout)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # Ctrl-C is answered here
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if is_watched else subprocess.DEVNULL,  # torchvision's bar
        text=True,
    )
    with process, cleanup(process.kill):
        try:
            sizes, limit = _sizes(folder), time.monotonic() + START
            while process.poll() is None and time.monotonic() < limit:
                time.sleep(0.05)
                if (now := _sizes(folder)) != sizes:
                    sizes, limit = now, time.monotonic() + MIRRORS * timeout
            if process.poll() is None:
                problem = f"no answer within {MIRRORS * timeout:g} s"
            else:
                damaged, problem = json.loads(process.stdout.read() if process.stdout else "")
                return damaged, problem
        except ValueError:
            problem = f"torchvision ended with exit code {process.returncode}"
    return [], problem


def _sizes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def fetch(kind: str, folder: Path, timeout: float) -> tuple[list[str], str | None]:
    """Complete the data set in `folder` and write its arrays, with torchvision.

    Returns:
        The names of files that were damaged, and why there is no data set, where there is none.
    """
    from torchvision import datasets

    (folder / "started").touch()  # from now on the servers' time runs
    socket.setdefaulttimeout(timeout)
    raw, pattern = _raw_files(kind, folder)
    kind, *split_name = kind.split()
    source = getattr(datasets, kind)
    damaged = [] if kind == "USPS" else _remove_damaged(raw, pattern)
    root = raw if kind == "USPS" else folder
    options = {"split": split_name[0]} if split_name else {}
    problem = None
    try:
        arrays = {}
        for name in ("train", "test"):
            split = source(root, train=name == "train", download=True, **options)
            few = 10_000 if (kind, name) == ("QMNIST", "test") else None  # those of MNIST
            data, targets = np.asarray(split.data[:few]), np.asarray(split.targets[:few])
            images, labels = _as_mnist(kind, data, targets)
            arrays[f"{name}_images"] = images.astype(np.uint8)
            arrays[f"{name}_labels"] = labels.astype(np.uint8)
        np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
    except TimeoutError:
        problem = f"silent for {timeout:g} s"
    except Exception as error:  # whatever a server and a disk can do
        problem = " ".join(str(error).split())
    return damaged, problem


def _as_mnist(kind: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return images upright, of 28 × 28, and labels from 0, of a data set whose own differ."""
    if kind == "EMNIST":
        images, labels = images.swapaxes(1, 2), labels - labels.min()
    elif kind == "QMNIST":  # a row of facts each
        labels = labels[:, 0]
    elif kind == "USPS":
        small = torch.from_numpy(images)[:, None].float()
        images = F.interpolate(small, size=(28, 28), mode="bilinear")[:, 0].round().numpy()
    return images, labels


def _remove_damaged(raw: Path, pattern: str) -> list[str]:
    """Unpack the files, and remove those that torchvision could not read; return their names."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    damaged = []
    for path in sorted(raw.glob(pattern)):  # a file ahead of the packed one
        unpacked = path.with_suffix("") if path.suffix == ".gz" else path
        if unpacked != path and unpacked.exists():
            continue
        try:
            if unpacked != path:  # by whomever
                unpacked.write_bytes(gzip.decompress(path.read_bytes()))
            read_sn3_pascalvincent_tensor(str(unpacked))
        except Exception:  # torchvision has no errors of its own for a damaged file
            damaged.append(path.name)
            path.unlink()
            unpacked.unlink(missing_ok=True)
    return damaged


if __name__ == "__main__":
    print(json.dumps(fetch(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))))
