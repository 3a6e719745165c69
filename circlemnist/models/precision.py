"""In which precision the network computes while it trains."""

from collections.abc import Callable

import torch
from torch import Tensor

from circlemnist.errors import SettingError
from circlemnist.models.embedder import Embedder

Forward = Callable[[Tensor], list[Tensor]]


def training_forward(embedder: Embedder, precision: str) -> Forward:
    """Return what gives the stages of the embedder in a step of training; it shares the weights.

    Args:
        embedder: on the device to train on.
        precision: "float32", "bfloat16", or "auto" for bfloat16 on a GPU that has it and float32
            elsewhere: a CPU may announce bfloat16 and kill the process that uses it.

    Raises:
        SettingError: bfloat16 is asked for, and the device has none.
    """
    kind = embedder.mean.device.type
    there = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bfloat16" and not there:
        raise SettingError("precision", "bfloat16: only some GPUs have it; use `precision` auto")
    half = there and precision != "float32"

    def forward(images: Tensor) -> list[Tensor]:
        with torch.autocast(kind, torch.bfloat16, enabled=half):
            return embedder.stages(images)

    return forward
