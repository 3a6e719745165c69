"""What a run ran on, as `environment.json` keeps it."""

import platform

import numpy
import scipy
import sklearn
import torch
import torchvision

from circlemnist.runs.environment import describe


def test_versions_device_and_threads_are_those_of_this_process() -> None:
    found = describe(torch.device("cpu"))
    revision = found.pop("revision")
    for library in ("torch", "torchvision"):  # a build may add its kind: 2.14.1+cpu
        found[library] = found[library].partition("+")[0]
    assert revision is None or len(revision) >= 7
    assert found == {
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "torchvision": torchvision.__version__.partition("+")[0],
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "platform": platform.platform(),
        "device": "cpu",
        "device_name": "",
        "threads": torch.get_num_threads(),
    }
