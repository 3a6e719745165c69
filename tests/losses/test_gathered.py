"""Many processes are one process with the whole batch: values, gradients, states of the losses.

The processes are real ones over gloo, started once for each group of checks; functions that begin
with `_` run in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from circlemnist import CircleLoss, GatheredLoss, gather_references
from circlemnist.losses import gathered_loss, gathered_statistics, pair_statistics
from tests.losses.one_and_many import (
    ODDEST,
    VARIANTS,
    WAYS,
    D,
    Errors,
    built,
    compare,
    compare_oddest,
    difference,
    shards_of,
)
from tests.losses.processes import run

CLOSE = 1e-12


def together(each: list[Errors]) -> Errors:
    """The largest error over the processes."""
    merged: Errors = {}
    for errors in each:
        for case, found in errors.items():
            so_far = merged.setdefault(case, {})
            for name, error in found.items():
                so_far[name] = max(so_far.get(name, 0.0), error)
    return merged


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found, by the function that looked."""
    return run(_all, 2, tmp_path_factory.mktemp("two"))


def _all(rank: int, world: int) -> dict[str, Any]:
    pieces = (_references, _shapes, _precisions, _without_gradient, _not_finite, _refusals, _groups)
    return {
        "statistics": _statistics(rank),
        "compare": compare_oddest(rank, world),
        "law": _law(rank, world, max_examples=20),
        **{piece.__name__: piece(rank) for piece in pieces},
    }


@pytest.mark.parametrize("oddity", ODDEST)
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_are_one(variant: str, oddity: str, two: list[dict[str, Any]]) -> None:
    errors = together([found["compare"] for found in two])[f"{variant} / {oddity} / ddp"]
    assert {"loss", "gradient of embeddings", "gradient of network 0.weight"} <= errors.keys()
    assert {name: error for name, error in errors.items() if not error < CLOSE} == {}


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_processes_are_one_whatever_each_of_them_has(world: int, tmp_path: Path) -> None:
    """All losses, all odd batches, gradients averaged by DDP, by hand, and added up."""
    errors = together(run(compare, world, tmp_path))
    assert len(errors) == len(VARIANTS) * len(shards_of(world)) * len(WAYS)
    far = {
        f"{case} / {name}": error
        for case, found in errors.items()
        for name, error in found.items()
        if not error < CLOSE
    }
    assert far == {}


@st.composite
def divided(draw: st.DrawFn, world: int) -> tuple[list[int], list[int], list[int]]:
    """Labels of a global batch, where it is cut for the processes, and who gets which part."""
    labels = draw(st.lists(st.integers(0, 3), max_size=14))
    cut = st.integers(0, len(labels))
    cuts = sorted(draw(st.lists(cut, min_size=world - 1, max_size=world - 1)))
    return labels, [0, *cuts, len(labels)], draw(st.permutations(range(world)))


def _law(rank: int, world: int, max_examples: int = 100) -> float:
    """The largest error over the examples."""
    errors = []

    # each process is to try the same examples, however long they take it
    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=max_examples,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.sampled_from(list(VARIANTS)), divided(world), st.integers(0, 2**31))
    def try_one(variant: str, batch: tuple[list[int], list[int], list[int]], seed: int) -> None:
        labels, cuts, places = batch
        y = torch.tensor(labels, dtype=torch.int64)
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(len(y), D, generator=generator, dtype=torch.float64)
        part = slice(cuts[places[rank]], cuts[places[rank] + 1])

        everyone = x.clone().requires_grad_()
        wanted = built(variant)(everyone, y)
        wanted.backward()
        own = x[part].clone().requires_grad_()
        found = GatheredLoss(built(variant))(own, y[part])
        found.backward()
        errors.append(difference(found.detach(), wanted.detach()))
        errors.append(difference(own.grad / world, everyone.grad[part]))

    try_one()
    return max(errors)


def test_neither_the_order_of_processes_nor_their_shares_matter(two: list[dict[str, Any]]) -> None:
    assert max(found["law"] for found in two) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3, 4])
def test_order_and_shares_do_not_matter_in_more_examples(world: int, tmp_path: Path) -> None:
    assert max(run(_law, world, tmp_path)) < 1e-10


def batch(rank: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Three embeddings on the first process and five on the second, all of three classes."""
    x = torch.arange(8.0 * D, dtype=torch.float64).view(8, D).sin()
    y = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    part = slice(0, 3) if rank == 0 else slice(3, 8)
    return x[part].to(dtype).requires_grad_(), y[part]


def _references(rank: int) -> list[Any]:
    x, y = batch(rank)
    embeddings, labels, own = gather_references(x, y.to(torch.uint8))
    (embeddings * (rank + 1)).sum().backward()
    assert x.grad is not None
    same = torch.equal(embeddings[own], x)
    return [embeddings.tolist(), labels.tolist(), own.tolist(), same, x.grad.unique().tolist()]


def test_references_are_those_of_all_processes_with_the_sum_of_gradients(
    two: list[dict[str, Any]],
) -> None:
    both = torch.cat([batch(0)[0], batch(1)[0]]).tolist()
    rows = [[0, 1, 2], [3, 4, 5, 6, 7]]
    for rank, found in enumerate(two):
        assert found["_references"] == [both, [0, 1, 2, 0, 1, 2, 0, 1], rows[rank], True, [3.0]]


def _statistics(rank: int) -> dict[str, list[float]]:
    """Of the global batch, by this process and by one that has all of it."""
    own, all_of_it = (
        batch(rank),
        [torch.cat(parts) for parts in zip(batch(0), batch(1), strict=True)],
    )
    return {
        "found": [value.item() for value in gathered_statistics(*own, 0.25)],
        "wanted": [value.item() for value in pair_statistics(*all_of_it, 0.25)],
    }


def test_statistics_are_those_of_the_global_batch(two: list[dict[str, Any]]) -> None:
    for process in two:
        found = process["statistics"]
        assert found["found"] == pytest.approx(found["wanted"], rel=1e-12)
    assert two[0]["statistics"]["found"] == two[1]["statistics"]["found"]


def _shapes(rank: int) -> list[list[int]]:
    loss = CircleLoss()
    seen: list[list[int]] = []
    loss.register_forward_pre_hook(lambda _, args: seen.extend([*arg.shape] for arg in args))
    GatheredLoss(loss)(*batch(rank))
    return seen


def test_circle_loss_computes_its_own_anchors_alone(two: list[dict[str, Any]]) -> None:
    for found, size in zip(two, (3, 5), strict=True):
        assert found["_shapes"] == [[size, D], [size], [8, D], [8], [size]]


def _precisions(rank: int) -> dict[str, list[Any]]:
    found = {}
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        x, y = batch(rank, dtype)
        value = GatheredLoss(CircleLoss())(x, y)
        value.backward()
        assert x.grad is not None
        found[str(dtype)] = [str(value.dtype), value.item(), str(x.grad.dtype), x.grad.tolist()]
    return found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_other_precisions_are_as_on_one_process(
    dtype: torch.dtype, two: list[dict[str, Any]]
) -> None:
    parts = [batch(rank, dtype) for rank in (0, 1)]
    x = torch.cat([part[0].detach() for part in parts]).requires_grad_()
    wanted = CircleLoss()(x, torch.cat([part[1] for part in parts]))
    wanted.backward()
    assert x.grad is not None
    gradients = []
    for found in two:
        of_value, value, of_gradient, gradient = found["_precisions"][str(dtype)]
        assert (of_value, of_gradient) == ("torch.float32", str(dtype))
        assert value == pytest.approx(wanted.item(), rel=1e-5)
        gradients += gradient
    halved = torch.tensor(gradients) / 2
    # gamma 256 makes 10^-7, the rounding of a cosine in float32, to some 10^-5 of a gradient
    rtol = 5e-4 if dtype == torch.float32 else 1.6e-2
    torch.testing.assert_close(halved.to(dtype), x.grad, rtol=rtol, atol=rtol / 10)


def _without_gradient(rank: int) -> Any:
    """An empty batch that no network made has no gradient, and its process waits for none."""
    x, y = batch(0)
    if rank == 1:
        x, y = torch.empty(0, D, dtype=x.dtype), y[:0]
    value = GatheredLoss(CircleLoss())(x, torch.zeros_like(y))
    loss = GatheredLoss(CircleLoss())(x, y * 0 + torch.arange(len(y)).clamp(max=1))
    loss.backward()
    return [value.item(), loss.item(), None if x.grad is None else x.grad.tolist()]


def test_an_empty_batch_need_not_ask_for_a_gradient(two: list[dict[str, Any]]) -> None:
    x, _ = batch(0)
    wanted = CircleLoss()(x, torch.tensor([0, 1, 1]))
    wanted.backward()
    assert x.grad is not None
    (without, value, gradient), other = (found["_without_gradient"] for found in two)
    assert without == 0
    assert value == pytest.approx(wanted.item(), rel=1e-12)
    assert other == [0, value, None]
    torch.testing.assert_close(torch.tensor(gradient, dtype=x.dtype) / 2, x.grad)


def _not_finite(rank: int) -> bool:
    x, y = batch(rank)
    if rank == 1:
        x = x.detach().index_fill(0, torch.tensor([0]), torch.nan)
    return bool(GatheredLoss(CircleLoss())(x, y).isnan())


def test_what_is_not_finite_on_one_process_is_seen_on_all(two: list[dict[str, Any]]) -> None:
    assert [found["_not_finite"] for found in two] == [True, True]


def _refusals(rank: int) -> list[str]:
    x, y = batch(rank)
    unlike = [x[:, : D - rank], x.float() if rank == 1 else x]
    messages = []
    for embeddings in unlike:
        with pytest.raises((TypeError, ValueError)) as caught:
            gather_references(embeddings, y)
        messages.append(str(caught.value))
    with pytest.raises(ValueError, match=r"labels lie in 0\.\.8, not in 0\.\.9") as caught:
        GatheredLoss(built("circle-class"))(x, y.clone().index_fill(0, torch.tensor([0]), 9 * rank))
    return messages


def test_every_process_refuses_what_does_not_fit_together(two: list[dict[str, Any]]) -> None:
    for found in two:
        assert found["_refusals"] == [
            f"embeddings differ in their dimension between processes: [{D}, {D - 1}]",
            "embeddings are float64 on some processes alone, of ranks [0]",
        ]


def _groups(rank: int) -> list[Any]:
    """Each process in a group of its own, and the group of the other."""
    groups = [dist.new_group([member]) for member in (0, 1)]
    alone = GatheredLoss(CircleLoss(), groups[rank])(*batch(rank)).item()
    with pytest.raises(ValueError, match="not one of the group"):
        GatheredLoss(CircleLoss(), groups[1 - rank])(*batch(rank))
    with pytest.raises(ValueError, match="not one of the group"):
        gather_references(*batch(rank), groups[1 - rank])
    return [alone, CircleLoss()(*batch(rank)).item()]


def test_a_group_is_the_processes_that_it_has(two: list[dict[str, Any]]) -> None:
    for found in two:
        alone, wanted = found["_groups"]
        assert alone == wanted
    assert wanted > 0  # of the second process, which has positives


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_other_processes_it_is_the_loss(variant: str) -> None:
    x, y = batch(1)
    assert GatheredLoss(built(variant))(x, y).item() == built(variant)(x, y).item()


def test_without_other_processes_references_are_the_batch() -> None:
    x, y = batch(1)
    embeddings, labels, own = gather_references(x, y.int())
    assert torch.equal(embeddings, x)
    assert labels.dtype == own.dtype == torch.int64
    assert torch.equal(labels, y)
    assert own.tolist() == [0, 1, 2, 3, 4]
    assert gather_references(x.detach().half(), y).embeddings.dtype == torch.float32


def test_a_value_for_each_anchor_is_refused() -> None:
    with pytest.raises(ValueError, match="reduction='none'"):
        GatheredLoss(CircleLoss(reduction="none"))
    with pytest.raises(ValueError, match="reduction='none'"):
        gathered_loss(CircleLoss(reduction="none"), torch.randn(4, 3), torch.arange(4) % 2)
