"""How the network computes while it trains: its precision, and whether it is compiled."""

from collections.abc import Callable

import torch
from torch import Tensor

from circlemnist.errors import UserError
from circlemnist.models.embedder import Embedder

Forward = Callable[[Tensor], list[Tensor]]


def training_forward(embedder: Embedder, precision: str, compile: bool) -> Forward:
    """Return what gives the stages of the embedder in a step of training; it shares the weights.

    Args:
        embedder: on the device to train on.
        precision: "float32", "bfloat16", or "auto" for bfloat16 on a GPU that has it and float32
            elsewhere: a CPU may announce bfloat16 and kill the process that uses it.
        compile: through torch.compile, on a GPU with CUDA graphs. The first call then takes up to
            a minute, and raises UserError where compiling fails, as without a C++ compiler.

    Raises:
        UserError: bfloat16 is asked for, and the device has none.
    """
    kind = embedder.mean.device.type
    there = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bfloat16" and not there:
        raise UserError("--precision bfloat16: only some GPUs have it; use --precision auto")
    half = there and precision != "float32"
    network = _compiled(embedder, graphs=kind == "cuda") if compile else embedder.stages

    def forward(images: Tensor) -> list[Tensor]:
        with torch.autocast(kind, torch.bfloat16, enabled=half):
            return network(images)

    return forward


def _compiled(embedder: Embedder, graphs: bool) -> Forward:
    # takes a second to import
    from torch._dynamo.exc import TorchDynamoException

    mode = "reduce-overhead" if graphs else "default"
    fast = torch.compile(embedder.stages, mode=mode, dynamic=False)

    def forward(images: Tensor) -> list[Tensor]:
        try:
            stages: list[Tensor] = fast(images)
        except TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"--compile does not work here, leave it out: {reason}") from error
        return stages

    return forward
