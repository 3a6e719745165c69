"""BatchNorm over many processes is that of one process with all images."""

from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from circlemnist.models.batch_norm import GatheredBatchNorm, gather_statistics
from tests.losses.processes import run

SIZES = {"uneven": (5, 2), "one image each": (1, 1), "an empty share": (0, 4)}
LAYERS = {
    "of features": lambda: nn.BatchNorm1d(3, affine=False),
    "of features, affine": lambda: nn.BatchNorm1d(3),
    "of channels": lambda: nn.BatchNorm2d(3),
}


def network(kind: str) -> nn.Sequential:
    """In float64, with weights and statistics that tell channels apart."""
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Sequential(LAYERS[kind]()), nn.Tanh()).double()
    for tensor in [*layers.parameters(), *layers.buffers()]:
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2)
    return layers


def batch(kind: str, size: int) -> tuple[Tensor, Tensor]:
    """Images far from 0, and what they are weighted with."""
    generator = torch.Generator().manual_seed(size)
    shape = (size, 3, 4, 4) if kind == "of channels" else (size, 3)
    x, y = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return 5 + x, y


def step(layers: nn.Module, x: Tensor, y: Tensor) -> dict[str, Any]:
    """What there is to compare after two steps and in evaluation mode."""
    x.requires_grad_()
    for _ in range(2):
        (layers(x) * y).sum().backward()
    parameters = {name: p.grad for name, p in layers.named_parameters()}
    for gradient in parameters.values():
        if dist.is_initialized():
            dist.all_reduce(gradient)
    state = {name: b for name, b in layers.state_dict().items() if name not in parameters}
    ends = {"gradient": x.grad, **parameters, **state, "embedded": layers.eval()(3 * x)}
    return {name: tensor.tolist() for name, tensor in ends.items()}


def _gathered(rank: int, world: int) -> dict[str, Any]:
    ends = {}
    for sizes in SIZES.values():
        for kind in LAYERS:
            layers = network(kind)
            gather_statistics(layers)
            assert isinstance(layers[0][0], GatheredBatchNorm)
            x, y = (part.split(sizes)[rank].clone() for part in batch(kind, sum(sizes)))
            ends[f"{kind} {sizes}"] = step(layers, x, y)
    return ends


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(_gathered, 2, tmp_path_factory.mktemp("processes"))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_two_processes_are_as_one(
    sizes: tuple[int, int], kind: str, shares: list[dict[str, Any]]
) -> None:
    """Gradients of images and weights, running statistics, and what is made of images then."""
    wanted = step(network(kind), *batch(kind, sum(sizes)))
    both = [share[f"{kind} {sizes}"] for share in shares]
    for name, value in wanted.items():
        of_rows = name in ("gradient", "embedded")
        found = [row for share in both for row in share[name]] if of_rows else both[0][name]
        assert of_rows or both[0][name] == both[1][name]
        ours, theirs = (torch.tensor(v, dtype=torch.float64) for v in (found, value))
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12, msg=name)
