"""Fashion-MNIST and KMNIST: MNIST's four files under other names, sums and classes."""

import gzip
import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from torchvision import datasets

from circlemnist.data.archives import SOURCES
from circlemnist.data.classes import CLASS_NAMES
from circlemnist.data.datasets import load_dataset
from tests.conftest import invoke

SETS = {"fashion-mnist": datasets.FashionMNIST, "kmnist": datasets.KMNIST}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_kin_train_by_default_and_are_measured(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-ins: the images of digits in files of the data set's names, their sums put in place."""
    digits = load_dataset("digits", tmp_path)
    raw = tmp_path / SETS[name].__name__ / "raw"
    raw.mkdir(parents=True)
    arrays = [split for half in (digits.train, digits.test) for split in (half.images, half.labels)]
    resources = []
    for (file, _), array in zip(SETS[name].resources, arrays, strict=True):
        shape = struct.pack(f">{array.dim()}I", *array.shape)
        head = b"\0\0\x08" + bytes([array.dim()]) + shape
        content = gzip.compress(head + array.byte().numpy().tobytes())
        (raw / file).write_bytes(content)
        resources.append((file, hashlib.md5(content, usedforsecurity=False).hexdigest()))
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], resources=resources))
    args = ("--dataset", name, "--data-dir", tmp_path, "--outputs", tmp_path, "--name", "run")
    result = invoke("train", *args, "--epochs", 6, "--quiet")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "run" / "eval.json").read_text())
    assert report["metrics"]["1nn"] > 0.9
    picture = tmp_path / "confusion.svg"
    plotted = invoke("plot", tmp_path / "run", "--kind", "confusion", "--out", picture)
    assert plotted.exit_code == 0, plotted.output
    assert all(f">{word}<" in picture.read_text("utf-8") for word in CLASS_NAMES[name])
