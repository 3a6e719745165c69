"""What a run ran on: device, threads, versions, revision."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def describe(device: torch.device) -> dict[str, Any]:
    """Return versions, device, threads and git revision, for `environment.json`."""
    libraries = (
        "torch",
        "torchvision",
        "numpy",
        "scipy",
        "scikit-learn",
        "pytorch-metric-learning",
    )
    return {
        "revision": _revision(),
        "python": platform.python_version(),
        **{library: version(library) for library in libraries},
        "platform": platform.platform(),
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        "threads": torch.get_num_threads(),
    }


def _revision() -> str | None:
    """Return the git revision of the source, or None where it is not run from a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
