"""What a run ran on, as `environment.json` keeps it."""

import platform
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest
import pytorch_metric_learning
import scipy
import sklearn
import torch
import torchvision

from circlemnist.runs import run
from circlemnist.runs.run import describe_machine


def test_versions_device_and_threads_are_those_of_this_process() -> None:
    found = describe_machine(torch.device("cpu"))
    revision = found.pop("revision")
    for library in ("torch", "torchvision"):  # a build may add its kind: 2.14.1+cpu
        found[library] = found[library].partition("+")[0]
    assert revision is None or len(revision) >= 7
    processor, cpuinfo = found.pop("processor"), Path("/proc/cpuinfo")
    if cpuinfo.exists() and "model name" in (text := cpuinfo.read_text()):
        assert processor
        assert f": {processor}\n" in text
    assert found == {
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "torchvision": torchvision.__version__.partition("+")[0],
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "pytorch-metric-learning": pytorch_metric_learning.__version__,
        "platform": platform.platform(),
        "device": "cpu",
        "device_name": "",
        "threads": torch.get_num_threads(),
    }


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_revision_is_that_of_the_checkout_and_says_what_is_not_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None without a commit, and where the package is installed within another's checkout."""
    other, root = tmp_path / "other", tmp_path / "other" / "site"
    source = root / "circlemnist" / "runs" / "run.py"
    source.parent.mkdir(parents=True)
    monkeypatch.setattr(run, "__file__", str(source))

    def git(folder: Path, *args: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(folder), *who, *args]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def revision() -> object:
        return describe_machine(torch.device("cpu"))["revision"]

    for folder in (other, root):
        git(folder, "init")
        assert revision() is None
        (folder / "file").write_text("one")
        git(folder, "add", "file")
        git(folder, "commit", "-m", "one")
    commit = git(root, "rev-parse", "HEAD")[:12]
    assert revision() == commit
    (root / "file").write_text("two")
    assert revision() == f"{commit}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision() is None


def test_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    found = describe_machine(torch.device("cuda", 1))
    assert (found["device"], found["device_name"]) == ("cuda", "card 1")


def test_processor_without_a_name_is_that_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """On ARM, neither the list of processors nor Python names a model."""
    read_text = Path.read_text

    def read_without_model(path: Path, encoding: str | None = None) -> str:
        return "processor : 0\n" if path == Path("/proc/cpuinfo") else read_text(path, encoding)

    monkeypatch.setattr(Path, "read_text", read_without_model)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert describe_machine(torch.device("cpu"))["processor"] == "aarch64"
