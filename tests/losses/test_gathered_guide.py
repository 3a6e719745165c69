"""The loop of docs/many-processes.md, run as torchrun would run it."""

import os
import re
import socket
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from circlemnist import CircleLoss
from tests.conftest import ROOT
from tests.losses.one_and_many import INPUTS, built_network
from tests.losses.processes import run

GUIDE = ROOT / "docs" / "many-processes.md"


def _guide(rank: int, world: int) -> list[list[float]]:
    """Run the loop of the guide; the weights in the end."""
    code = re.search(r"```python\n(import .*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert code is not None
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = torch.tensor(free.getsockname()[1])
    dist.broadcast(port, 0)
    dist.destroy_process_group()
    # what torchrun says to the processes that it starts
    place = {
        "RANK": rank,
        "WORLD_SIZE": world,
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": int(port),
    }
    os.environ.update({name: str(value) for name, value in place.items()})
    names = guide_data()
    exec(code[1], names)
    return [parameter.tolist() for parameter in names["network"].module.parameters()]


def guide_data() -> dict[str, Any]:
    """What the loop of the guide has: 9 images in batches of 4, the last with an empty share."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(9, INPUTS, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2])
    sizes = {"epochs": 2, "batch_size": 4}
    return {"make_network": built_network, "images": images, "labels": labels, **sizes}


def test_the_loop_of_the_guide_trains_as_one_process(tmp_path: Path) -> None:
    names = guide_data()
    images, labels, network = names["images"], names["labels"], built_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    order = torch.Generator().manual_seed(0)
    for _ in range(names["epochs"]):
        for chosen in torch.randperm(len(images), generator=order).split(names["batch_size"]):
            optimizer.zero_grad()
            CircleLoss(gamma=80, m=0.25)(network(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    for found in run(_guide, 2, tmp_path):
        for ours, wanted in zip(found, network.parameters(), strict=True):
            torch.testing.assert_close(
                torch.tensor(ours, dtype=wanted.dtype), wanted.detach(), rtol=1e-9, atol=1e-12
            )
