"""Many processes are one process with the whole batch: values, gradients, states of the losses.

The processes are real ones over gloo, started once for each group of checks; functions that begin
with `_` run in them.
"""

import os
import re
import socket
import traceback

import pytest
import torch
import torch.distributed as dist

from circlemnist import CircleLoss, GatheredLoss, gather_references
from circlemnist.losses import gathered_loss, gathered_statistics, pair_statistics
from tests.conftest import ROOT
from tests.losses.one_and_many import (
    ODDEST,
    VARIANTS,
    WAYS,
    D,
    built,
    built_network,
    compare,
    guide_data,
    shards_of,
)
from tests.losses.processes import run


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes saw: its errors, and the traceback of each check that failed."""
    return run(_all, 2, tmp_path_factory.mktemp("two"))


def _all(rank, world):
    seen = {"compare": compare(rank, world, ODDEST, ("ddp",))}
    for check in CHECKS:
        try:
            check(rank)
            seen[check.__name__] = ""
        except BaseException:
            seen[check.__name__] = traceback.format_exc()
    return seen


@pytest.mark.parametrize("oddity", ODDEST)
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_are_one(variant, oddity, two):
    assert [process["compare"][f"{variant} / {oddity} / ddp"] for process in two] == [[], []]


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 3])
def test_processes_are_one_whatever_each_of_them_has(world, tmp_path):
    """All losses, all odd batches, gradients averaged and added up."""
    for cases in run(compare, world, tmp_path):
        assert len(cases) == len(VARIANTS) * len(shards_of(world)) * len(WAYS)
        assert {case: names for case, names in cases.items() if names} == {}


def batch(rank):
    """Three embeddings on the first process and five on the second, all of three classes."""
    x = torch.arange(8.0 * D, dtype=torch.float64).view(8, D).sin()
    part = slice(0, 3) if rank == 0 else slice(3, 8)
    return x[part].requires_grad_(), (torch.arange(8) % 3)[part]


def both():
    """The global batch."""
    x, y = (torch.cat(parts) for parts in zip(batch(0), batch(1), strict=True))
    return x.detach().requires_grad_(), y


def _references_are_those_of_all_processes_with_the_sum_of_gradients(rank):
    x, y = batch(rank)
    references = gather_references(x, y.to(torch.uint8))
    (references.embeddings * (rank + 1)).sum().backward()
    own = torch.arange(3) if rank == 0 else torch.arange(3, 8)
    assert all(a.equal(b) for a, b in zip(references, (*both(), own), strict=True))
    assert x.grad.eq(1 + 2).all()


def _statistics_are_those_of_the_global_batch(rank):
    statistics = torch.stack(gathered_statistics(*batch(rank), 0.25))
    torch.testing.assert_close(statistics, torch.stack(pair_statistics(*both(), 0.25)))
    of_both = torch.empty(6, dtype=statistics.dtype)
    dist.all_gather_single(of_both, statistics)
    assert of_both[:3].equal(of_both[3:])


def _circle_loss_computes_its_own_anchors_alone(rank):
    loss, shapes = CircleLoss(), []
    loss.register_forward_pre_hook(lambda _, args: shapes.extend([*arg.shape] for arg in args))
    GatheredLoss(loss)(*batch(rank))
    size = (3, 5)[rank]
    assert shapes == [[size, D], [size], [8, D], [8], [size]]


def _what_is_not_finite_on_one_process_is_seen_on_all(rank):
    x, y = batch(rank)
    if rank == 1:
        x = x.detach().index_fill(0, torch.tensor([0]), torch.nan)
    assert GatheredLoss(CircleLoss())(x, y).isnan()


def _every_process_refuses_what_does_not_fit_together(rank):
    x, y = batch(rank)
    dims = rf"^embeddings differ in their dimension between processes: \[{D}, {D - 1}\]$"
    with pytest.raises(ValueError, match=dims):
        gather_references(x[:, : D - rank], y)
    with pytest.raises(ValueError, match=r"bytes a number between processes: \[8, 4\]$"):
        gather_references(x.float() if rank == 1 else x, y)
    with pytest.raises(ValueError, match=r"labels lie in 0\.\.8, not in 0\.\.9"):
        GatheredLoss(built("circle-class"))(x, y.index_fill(0, torch.tensor([0]), 9 * rank))


CHECKS = (
    _references_are_those_of_all_processes_with_the_sum_of_gradients,
    _statistics_are_those_of_the_global_batch,
    _circle_loss_computes_its_own_anchors_alone,
    _what_is_not_finite_on_one_process_is_seen_on_all,
    _every_process_refuses_what_does_not_fit_together,
)


@pytest.mark.parametrize("name", [check.__name__ for check in CHECKS])
def test_on_two_processes(name, two):
    failures = [process[name] for process in two if process[name]]
    assert not failures, failures[0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_other_processes_it_is_the_loss(variant):
    assert GatheredLoss(built(variant))(*batch(1)).item() == built(variant)(*batch(1)).item()


def test_without_other_processes_references_are_the_batch():
    x, y = batch(1)
    references = gather_references(x.half(), y.int())
    wanted = (x.half().float(), y, torch.arange(5))
    assert all(a.equal(b) for a, b in zip(references, wanted, strict=True))
    assert [tensor.dtype for tensor in references] == [torch.float32, torch.int64, torch.int64]


def test_a_value_for_each_anchor_is_refused():
    with pytest.raises(ValueError, match="not 'none'"):
        gathered_loss(CircleLoss(reduction="none"), *batch(1))


def _guide(rank, world):
    """Run the loop of the guide as torchrun would; the weights in the end."""
    text = (ROOT / "docs" / "many-processes.md").read_text("utf-8")
    (code, *_) = re.findall(r"```python\n(import .*?)```", text, re.DOTALL)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = torch.tensor(free.getsockname()[1])
    dist.broadcast(port, 0)
    dist.destroy_process_group()
    # what torchrun says to the processes that it starts
    place = {"RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": int(port)}
    os.environ.update({name: str(value) for name, value in place.items()})
    os.environ["MASTER_ADDR"] = "localhost"
    names = guide_data()
    exec(code, names)
    return [parameter.tolist() for parameter in names["network"].module.parameters()]


def test_the_loop_of_the_guide_trains_as_one_process(tmp_path):
    names = guide_data()
    images, labels, network = names["images"], names["labels"], built_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    order = torch.Generator().manual_seed(0)
    for _ in range(names["epochs"]):
        for chosen in torch.randperm(len(images), generator=order).split(names["batch_size"]):
            optimizer.zero_grad()
            CircleLoss(gamma=80, m=0.25)(network(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    wanted = [parameter.detach() for parameter in network.parameters()]
    for weights in run(_guide, 2, tmp_path):
        ours = [torch.tensor(weight, dtype=torch.float64) for weight in weights]
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-12)
