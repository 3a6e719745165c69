"""The losses that a library has, against loops over the formulas of their papers."""

import math

import pytest
import torch
from torch.nn.functional import cosine_embedding_loss, normalize

from circlemnist.losses import fix_class_weights
from tests.losses.reference import built

B, C, D = 12, 4, 5


@pytest.fixture
def batch():
    """(B, D) float64 of any length, and (B,) labels."""
    return 3 * torch.randn(B, D, dtype=torch.float64), torch.arange(B) % C


def test_triplet_is_the_mean_over_triplets_that_are_not_zero(batch):
    x, labels = batch
    s = normalize(x) @ normalize(x).T
    terms = [
        max(0.0, (s[a, n] - s[a, p] + 0.3).item())
        for a in range(B)
        for p in range(B)
        for n in range(B)
        if a != p and labels[a] == labels[p] != labels[n]
    ]
    nonzero = [term for term in terms if term > 0]
    assert 0 < len(nonzero) < len(terms)
    mean, total = (built("triplet", C, D, m=0.3, reduction=r)(x, labels) for r in ("mean", "sum"))
    assert mean.item() == pytest.approx(sum(nonzero) / len(nonzero), rel=1e-12)
    assert total.item() == pytest.approx(sum(terms), rel=1e-12)


def test_contrastive_is_torchs_over_all_pairs(batch):
    """torch.nn.functional.cosine_embedding_loss, its means over the pairs that are not 0."""
    x, labels = batch
    pairs = [(i, j) for i in range(B) for j in range(B) if i != j]
    left, right = (x[list(side)] for side in zip(*pairs, strict=True))
    same = torch.tensor([1.0 if labels[i] == labels[j] else -1.0 for i, j in pairs])
    terms = cosine_embedding_loss(left, right, same, margin=0.2, reduction="none")
    means = [terms[(same == sign) & (terms > 0)].mean() for sign in (1, -1)]
    torch.testing.assert_close(built("contrastive", C, D, m=0.2)(x, labels), sum(means))


def psi(theta, m):
    k = min(int(theta * m / math.pi), m - 1)
    return (-1) ** k * math.cos(m * theta) - 2 * k


def past(theta, m):
    """The cosine beyond a half turn: continued by a line of the library."""
    return math.cos(theta + m) if theta <= math.pi - m else math.cos(theta) - m * math.sin(m)


@pytest.mark.parametrize(
    ("name", "margins", "own_logit"),
    [
        ("softmax", [None], lambda theta, m: math.cos(theta)),
        ("cosface", [0.0, 0.35], lambda theta, m: math.cos(theta) - m),
        ("arcface", [0.5, 1.2], past),
        ("sphereface", [1, 2, 4], psi),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_softmax_family_is_cross_entropy_of_its_logits(name, margins, own_logit, reduction, batch):
    x, labels = batch
    for m in margins:
        loss = built(name, C, D, gamma=7.0, m=m, reduction=reduction).double()
        cosines = (normalize(x) @ normalize(loss.W.detach(), dim=0)).tolist()
        total = 0.0
        for row, own in zip(cosines, labels.tolist(), strict=True):
            logits = [7 * s for s in row]
            logits[own] = 7 * own_logit(math.acos(row[own]), m)
            total += math.log(sum(map(math.exp, logits))) - logits[own]
        wanted = total / B if reduction == "mean" else total
        assert loss(x, labels).item() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("name", ["arcface", "sphereface", "cosface", "softmax"])
def test_embedding_on_its_class_weight_has_a_finite_gradient(name):
    """In float32 a good embedding is its weight; the arc cosine is infinitely steep there."""
    loss = built(name, C, C)
    fix_class_weights(loss, torch.eye(C))
    x = torch.cat([torch.eye(C), -torch.eye(C)]).requires_grad_()
    loss(x, torch.arange(C).repeat(2)).backward()
    assert x.grad.isfinite().all()
