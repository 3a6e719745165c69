"""BatchNorm over many processes is that of one process with all images."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from circlemnist.models.batch_norm import GatheredBatchNorm, gather_statistics
from tests.losses.processes import run

SIZES = {"uneven": (5, 2), "one image each": (1, 1), "an empty share": (0, 4)}
LAYERS = {
    "of features": lambda: nn.BatchNorm1d(3, affine=False),
    "of features, affine": lambda: nn.BatchNorm1d(3),
    "of channels": lambda: nn.BatchNorm2d(3),
}


def network(kind):
    """In float64, with weights and statistics that tell channels apart."""
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Sequential(LAYERS[kind]()), nn.Tanh()).double()
    for tensor in [*layers.parameters(), *layers.buffers()]:
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2)
    return layers


def batch(kind, size):
    """Images far from 0, and what they are weighted with."""
    generator = torch.Generator().manual_seed(size)
    shape = (size, 3, 4, 4) if kind == "of channels" else (size, 3)
    x, y = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return 5 + x, y


def step(layers, x, y):
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


def _gathered(rank, world):
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
def shares(tmp_path_factory):
    return run(_gathered, 2, tmp_path_factory.mktemp("processes"))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_two_processes_are_as_one(sizes, kind, shares):
    """Gradients of images and weights, running statistics, and what is made of images then."""
    first, second = (share[f"{kind} {sizes}"] for share in shares)
    for name, wanted in step(network(kind), *batch(kind, sum(sizes))).items():
        rows = name in ("gradient", "embedded")
        assert rows or first[name] == second[name]
        ours = first[name] + second[name] if rows else first[name]
        ours, theirs = (torch.tensor(v, dtype=torch.float64) for v in (ours, wanted))
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12, msg=name)
