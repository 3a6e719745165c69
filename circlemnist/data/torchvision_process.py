"""Download, verify and read a data set with torchvision, in a process of its own.

    python -m circlemnist.data.torchvision_process MNIST FOLDER SECONDS

A process can be ended when a name look-up hangs, and the program need not import torchvision.
FOLDER may hold `MNIST/raw` already. The process puts there what is missing, and writes the arrays
into `FOLDER/arrays.npz`. It prints an `Answer` as JSON.
"""

import json
import socket
import sys
from pathlib import Path
from typing import TypedDict

import numpy as np


class Answer(TypedDict):
    """What the process prints.

    Attributes:
        damaged: names of files that were there and are not what they should be.
        problem: why the data set could not be had; None where it was.
        is_local: whether the problem is of this machine (a full disk), not of the network.
    """

    damaged: list[str]
    problem: str | None
    is_local: bool


def fetch(kind: str, folder: Path, timeout: float) -> Answer:
    """Complete the data set in `folder`, and write its arrays.

    Args:
        kind: name of the class in `torchvision.datasets`.
        timeout: seconds of silence after which a server is given up.
    """
    from torchvision import datasets

    (folder / "started").touch()  # from now on the servers' time runs
    socket.setdefaulttimeout(timeout)
    source = getattr(datasets, kind)
    raw = folder / kind / "raw"
    damaged = remove_damaged(raw, source.resources)
    try:
        splits = {
            "train": source(folder, train=True, download=True),
            "test": source(folder, train=False, download=True),
        }
        arrays = {
            f"{name}_{part}": tensor.numpy().astype(np.uint8)
            for name, split in splits.items()
            for part, tensor in (("images", split.data), ("labels", split.targets))
        }
        np.savez(folder / "arrays.npz", **arrays)
    except TimeoutError:
        return Answer(damaged=damaged, problem=f"silent for {timeout:g} s", is_local=False)
    except Exception as error:  # whatever a server and a disk can do
        is_local = isinstance(error, OSError) and error.strerror is not None
        problem = " ".join(str(error).split())
        return Answer(damaged=damaged, problem=problem, is_local=is_local)
    return Answer(damaged=damaged, problem=None, is_local=False)


def remove_damaged(raw: Path, resources: list[tuple[str, str]]) -> list[str]:
    """Remove the files that torchvision could not read; return their names."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor
    from torchvision.datasets.utils import check_integrity

    damaged = []
    for name, md5 in resources:
        packed, unpacked = raw / name, raw / name.removesuffix(".gz")
        if unpacked.exists():
            try:
                read_sn3_pascalvincent_tensor(str(unpacked))
            except Exception:  # it has no errors of its own for a damaged file
                damaged.append(unpacked.name)
                unpacked.unlink()
        if packed.exists() and not unpacked.exists() and not check_integrity(packed, md5):
            damaged.append(packed.name)
            packed.unlink()
    return damaged


if __name__ == "__main__":
    print(json.dumps(fetch(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))))
