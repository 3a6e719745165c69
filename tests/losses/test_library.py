"""The losses that a library has, against loops over the formulas of their papers."""

import inspect
import math
from importlib import import_module

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_embedding_loss, normalize

from circlemnist.family import FAMILY
from circlemnist.losses import LOSSES, build_loss, fix_class_weights

B, C, D = 12, 4, 5
OF_LIBRARY = [name for name, place in LOSSES.items() if place.startswith("library")]


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """(B, D) float64 of any length, and (B,) labels."""
    return 3 * torch.randn(B, D, dtype=torch.float64), torch.arange(B) % C


def built(name: str, dim: int = D, **settings: object) -> nn.Module:
    """With the gamma and m of the program's settings, unless others are given."""
    knobs = {knob: turn.default for knob, turn in FAMILY[name].knobs.items()}
    return build_loss(name, num_classes=C, embedding_dim=dim, **{**knobs, **settings})


def cross_entropy(logits: list[list[float]], labels: Tensor) -> float:
    rows = zip(logits, labels.tolist(), strict=True)
    return sum(math.log(sum(map(math.exp, row))) - row[own] for row, own in rows) / B


def psi(theta: float, m: int) -> float:
    k = min(int(theta * m / math.pi), m - 1)
    return (-1) ** k * math.cos(m * theta) - 2 * k


def test_triplet_is_the_mean_over_triplets_that_are_not_zero(batch: tuple[Tensor, Tensor]) -> None:
    x, labels = batch
    s = normalize(x) @ normalize(x).T
    terms = [
        max(0.0, (s[a, n] - s[a, p] + 0.3).item())
        for a in range(B)
        for p in range(B)
        for n in range(B)
        if a != p and labels[a] == labels[p] != labels[n]
    ]
    some = [term for term in terms if term > 0]
    assert 0 < len(some) < len(terms)
    found = built("triplet", m=0.3)(x, labels)
    assert found.item() == pytest.approx(sum(some) / len(some), rel=1e-12)
    total = built("triplet", m=0.3, reduction="sum")(x, labels)
    assert total.item() == pytest.approx(sum(terms), rel=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", OF_LIBRARY)
def test_an_embedding_that_is_not_finite_makes_the_loss_nan(
    name: str, value: float, batch: tuple[Tensor, Tensor]
) -> None:
    x, labels = batch
    assert built(name)(x, labels).isfinite()
    broken = x.index_fill(0, torch.tensor(4), value)
    assert built(name)(broken, labels).isnan()
    if name in ("triplet", "contrastive"):  # beside those of other batches
        assert built(name)(x, labels, ref_emb=broken, ref_labels=labels).isnan()


def test_contrastive_is_torchs_over_all_pairs(batch: tuple[Tensor, Tensor]) -> None:
    """torch.nn.functional.cosine_embedding_loss, its means over the pairs that are not 0."""
    x, labels = batch
    pairs = [(i, j) for i in range(B) for j in range(B) if i != j]
    left, right = (x[list(side)] for side in zip(*pairs, strict=True))
    alike = torch.tensor([1.0 if labels[i] == labels[j] else -1.0 for i, j in pairs])
    each = cosine_embedding_loss(left, right, alike, margin=0.2, reduction="none")
    wanted = sum(each[(alike == sign) & (each > 0)].mean() for sign in (1, -1))
    torch.testing.assert_close(built("contrastive", m=0.2)(x, labels), wanted)


@pytest.mark.parametrize(
    ("name", "m"),
    [
        ("softmax", None),
        ("cosface", 0.0),
        ("cosface", 0.35),
        ("arcface", 0.5),
        ("arcface", 1.2),
        ("sphereface", 1.0),
        ("sphereface", 2.0),
        ("sphereface", 4.0),
    ],
)
def test_softmax_family_is_cross_entropy_of_its_logits(
    name: str, m: float | None, batch: tuple[Tensor, Tensor]
) -> None:
    x, labels = batch
    loss = built(name, gamma=7.0, **({} if m is None else {"m": m})).double()
    cosines = (normalize(x) @ normalize(loss.W.detach(), dim=0)).tolist()
    of_own = {
        "softmax": lambda theta: math.cos(theta),
        "cosface": lambda theta: math.cos(theta) - m,
        "arcface": lambda theta: (
            math.cos(theta + m) if theta <= math.pi - m else math.cos(theta) - m * math.sin(m)
        ),
        "sphereface": lambda theta: psi(theta, int(m or 1)),
    }[name]
    logits = [
        [7 * (of_own(math.acos(s)) if k == own else s) for k, s in enumerate(row)]
        for row, own in zip(cosines, labels.tolist(), strict=True)
    ]
    assert loss(x, labels).item() == pytest.approx(cross_entropy(logits, labels), rel=1e-9)


@pytest.mark.parametrize("name", ["arcface", "sphereface", "cosface", "softmax"])
def test_embedding_on_its_class_weight_has_a_finite_gradient(name: str) -> None:
    """In float32 a good embedding is its weight; the arc cosine is infinitely steep there."""
    loss = built(name, dim=C)
    fix_class_weights(loss, torch.eye(C))
    x = torch.cat([torch.eye(C), -torch.eye(C)]).requires_grad_()
    loss(x, torch.arange(C).repeat(2)).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_table_of_the_settings_has_the_knobs_of_the_loss(name: str) -> None:
    module, attribute = LOSSES[name].split(".")
    of_loss = getattr(import_module(f"circlemnist.losses.{module}"), attribute)
    takes = inspect.signature(of_loss).parameters
    assert [knob for knob in ("gamma", "m") if knob in takes] == list(FAMILY[name].knobs)
    assert ("num_classes" in takes) == FAMILY[name].of_classes


def test_setting_that_no_loss_has_is_refused() -> None:
    with pytest.raises(TypeError, match="no setting of a loss: gama"):
        build_loss("triplet", m=0.1, gama=80)


def test_both_tables_have_the_same_losses_in_the_same_order() -> None:
    assert list(LOSSES) == list(FAMILY)


@pytest.mark.parametrize("name", [name for name in LOSSES if FAMILY[name].of_classes])
def test_fixed_class_weights_are_given_and_stay(name: str) -> None:
    """Each class's own: its loss is least for the embedding in its direction."""
    loss = built(name)
    directions = normalize(torch.randn(C, D))
    fix_class_weights(loss, directions)
    frozen = [p for p in loss.parameters() if not p.requires_grad]
    assert [tuple(p.shape) in ((C, D), (D, C)) for p in frozen] == [True]
    loss.eval()
    for own in range(C):
        label = torch.tensor([own])
        losses = [loss(9 * directions[k : k + 1], label).item() for k in range(C)]
        assert min(range(C), key=losses.__getitem__) == own


@pytest.mark.parametrize("reduction", ["none", "banana"])
@pytest.mark.parametrize("name", OF_LIBRARY)
def test_other_reductions_are_refused(name: str, reduction: str) -> None:
    with pytest.raises(ValueError, match=f"reduction is 'mean' or 'sum', not '{reduction}'"):
        built(name, reduction=reduction)


@pytest.mark.parametrize("m", [2.5, 0.25, 0, -1])
def test_sphereface_multiplies_by_whole_numbers(m: float) -> None:
    with pytest.raises(ValueError, match=f"m is a whole number of at least 1, not {m}"):
        built("sphereface", m=m)


@pytest.mark.parametrize("shape", [(1, D), (D,), (D, C), (C, D + 1)])
@pytest.mark.parametrize("name", ["circle-class", "cosface"])
def test_fixed_class_weights_have_their_shape(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"class weights are \({C}, {D}\)"):
        fix_class_weights(built(name), torch.randn(shape))
