"""A step of training in float32 and in bfloat16, in a process of its own: it may die, or hang.

    python -m circlemnist.models.bfloat16_probe

Prints "loaded" once torch is there, then the milliseconds of each, and the cosine between the
gradients of both, as JSON.
"""

import json
import sys
import time

import torch
from torch import Tensor

from circlemnist.config import SIDE, Config
from circlemnist.models.embedder import build_embedder
from circlemnist.models.precision import forward_in

BATCH, ROUNDS = 100, 5
DTYPES = (torch.float32, torch.bfloat16)


def measured() -> dict[str, float]:
    """Train the default network by turns in both precisions, on one thread; return the best turns.

    Returns:
        "float32" and "bfloat16", milliseconds a step, and "cosine", between their gradients.
    """
    torch.set_num_threads(1)  # so that what else computes on the machine disturbs it little
    torch.manual_seed(0)
    config = Config()
    embedder = build_embedder(config)
    images, direction = torch.rand(BATCH, 1, SIDE, SIDE), torch.randn(BATCH, config.dim)
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in DTYPES}
    gradients: dict[torch.dtype, Tensor] = {}
    for turn in range(ROUNDS + 1):
        for dtype in DTYPES:
            embedder.zero_grad()
            begun = time.perf_counter()
            (forward_in(embedder, dtype)(images)[-1] * direction).sum().backward()
            if turn:  # the first is not counted
                seconds[dtype].append(time.perf_counter() - begun)
            every = [p.grad.flatten() for p in embedder.parameters() if p.grad is not None]
            gradients[dtype] = torch.cat(every)
    cosine = torch.cosine_similarity(gradients[torch.float32], gradients[torch.bfloat16], dim=0)
    best = {str(dtype).removeprefix("torch."): 1e3 * min(of) for dtype, of in seconds.items()}
    return {**best, "cosine": cosine.item()}


def leave_no_core() -> None:
    """Let the process die without a file of its memory, where the system would write one."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    leave_no_core()
    print("loaded", flush=True)
    print(json.dumps(measured()))
