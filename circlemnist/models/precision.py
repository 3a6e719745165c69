"""In which precision the network computes while it trains."""

from collections.abc import Callable

import torch
from torch import Tensor

from circlemnist.errors import SettingError
from circlemnist.models.bfloat16 import probed
from circlemnist.models.embedder import Embedder

Forward = Callable[[Tensor], list[Tensor]]


def training_forward(embedder: Embedder, precision: str) -> Forward:
    """Return what gives the stages of the embedder in a step of training; it shares the weights.

    Args:
        embedder: on the device to train on.
        precision: "float32", "bfloat16", or "auto"; see `resolve_precision`.

    Raises:
        SettingError: bfloat16 is asked for, and the device has none.
    """
    chosen = resolve_precision(precision, embedder.mean.device)
    return forward_in(embedder, getattr(torch, chosen))


def forward_in(embedder: Embedder, dtype: torch.dtype) -> Forward:
    """Return what gives the stages of the embedder, computed in float32 or bfloat16 by autocast.

    The weights are float32 in both.
    """
    kind = embedder.mean.device.type

    def forward(images: Tensor) -> list[Tensor]:
        with torch.autocast(kind, torch.bfloat16, enabled=dtype == torch.bfloat16):
            return embedder.stages(images)

    return forward


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "float32" or "bfloat16" for what is asked for.

    Args:
        precision: either, or "auto" for bfloat16 on a GPU that has it, and on a CPU where it was
            tried, works and is faster; float32 elsewhere.

    Raises:
        SettingError: bfloat16 is asked for, and the device has none.
    """
    if precision == "auto":
        wanted = probed().worthwhile if device.type == "cpu" else not lacking(device)
        return "bfloat16" if wanted else "float32"
    if precision == "bfloat16" and (problem := lacking(device)):
        raise SettingError("precision", f"bfloat16: {problem}; use `precision` auto")
    return precision


def lacking(device: torch.device) -> str:
    """Say why a device cannot train in bfloat16; empty where it can, even if it were slower."""
    if device.type == "cpu":
        return probed().problem
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return ""
    return "of GPUs only some have it, and this one does not"
