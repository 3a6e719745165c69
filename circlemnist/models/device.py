"""Where a network computes."""

import torch

from circlemnist.errors import SettingError


def resolve_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        SettingError: this machine has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((kind for kind, found in there.items() if found), "cpu"))
    if not there.get(name, True):
        raise SettingError("device", f"{name}: this machine has no such device; use `device` auto")
    return torch.device(name)
