"""How other implementations differ from the paper: each row of the table in docs/circle-loss.md.

The formulas are restated here from what those implementations compute; none of their code is used.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import CircleLoss as OtherCircleLoss

from circlemnist import CircleLoss

GAMMA, M = 80.0, 0.25


def batch(size=24, classes=6, spread=0.5):
    """Clustered embeddings, float64: the classes are apart, not perfectly."""
    centres = F.normalize(torch.randn(classes, 8, dtype=torch.float64))
    y = torch.arange(size) % classes
    x = centres[y] + spread * torch.randn(size, 8, dtype=torch.float64)
    return x.requires_grad_(), y


def matrices(x, y):
    """Similarities, mask of positives, mask of negatives."""
    e = F.normalize(x)
    same = y[:, None] == y
    return e @ e.T, same & ~torch.eye(len(y), dtype=torch.bool), ~same


def exponents(s, detach=True):
    """Exponents of Eq. 6 of all pairs, as positives and as negatives."""
    t = s.detach() if detach else s
    return -GAMMA * (1 + M - t).relu() * (s - (1 - M)), GAMMA * (t + M).relu() * (s - M)


def softplus(x):
    return torch.logaddexp(x, torch.zeros_like(x))


def log_sum(exponent, mask):
    return exponent.masked_fill(~mask, -torch.inf).logsumexp(1)


def slope(value, x):
    return torch.autograd.grad(value, x)[0]


class TestWholeBatchInOneLogsumexp:
    """TinyZeaMays/CircleLoss: one logsumexp over all pairs i < j of the batch."""

    def theirs(self, x, y):
        s, positive, negative = matrices(x, y)
        p, n = exponents(s)
        return softplus(p[positive.triu()].logsumexp(0) + n[negative.triu()].logsumexp(0))

    def test_is_our_batch_variant_and_not_the_loss_per_anchor(self):
        x, y = batch()
        theirs = self.theirs(x, y)
        ours = CircleLoss(GAMMA, M, pairs="batch")(x, y)
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
        torch.testing.assert_close(slope(ours, x), slope(theirs, x), rtol=1e-9, atol=1e-12)
        assert ours.item() > 1.1 * CircleLoss(GAMMA, M)(x, y).item()

    def test_few_samples_get_the_gradient(self):
        """The hardest pairs of the batch take it all: the reason why it learns slower."""
        x, y = batch(size=120)
        share = {}
        for pairs in ("anchor", "batch"):
            lengths = slope(CircleLoss(GAMMA, M, pairs=pairs)(x, y), x).norm(dim=1)
            share[pairs] = (lengths.topk(6).values.sum() / lengths.sum()).item()
        assert share["batch"] > 0.8
        assert share["anchor"] < 0.3

    def test_no_positive_pair_is_an_empty_logsumexp(self):
        x, y = batch(size=5)[0], torch.arange(5)
        ours = CircleLoss(GAMMA, M, pairs="batch")(x, y)
        assert torch.empty(0).logsumexp(0).item() == -math.inf
        assert ours.item() == self.theirs(x, y).item() == 0
        assert slope(ours, x).eq(0).all()


def test_alpha_not_detached():
    """Keras losses.circle: the same value, another gradient, which is not Eqs. 9-10.

    With it d/ds_n of gamma (s + m)(s - m) is 2 gamma s: negatives with s_n in (-m, 0) are pulled
    closer, and positives with s_p in (1, 1 + m) would be, too.
    """
    x, y = batch()
    s, positive, negative = matrices(x, y)
    p, n = exponents(s, detach=False)
    theirs = softplus(log_sum(p, positive) + log_sum(n, negative)).mean()
    ours = CircleLoss(GAMMA, M)(x, y)
    assert theirs.item() == pytest.approx(ours.item(), rel=1e-12)
    a, b = slope(theirs, x), slope(ours, x)
    assert (a - b).norm() > 0.1 * b.norm()
    sn = torch.tensor(-0.1, dtype=torch.float64, requires_grad=True)
    assert slope(exponents(sn, detach=False)[1], sn).item() == pytest.approx(2 * GAMMA * -0.1)
    assert slope(exponents(sn)[1], sn).item() == pytest.approx(GAMMA * (-0.1 + M))


def test_no_softplus_but_a_one_in_each_logsumexp():
    """TensorFlow Similarity: log(1 + sum_p) + log(1 + sum_n), and alpha is not detached."""
    x, y = batch(spread=0.05)
    s, positive, negative = matrices(x, y)
    p, n = exponents(s, detach=False)
    sum_p, sum_n = log_sum(p, positive), log_sum(n, negative)
    theirs = (softplus(sum_p) + softplus(sum_n)).mean()
    ours = CircleLoss(GAMMA, M)(x, y)
    product = sum_p.exp() * sum_n.exp()
    expanded = (1 + sum_p.exp() + sum_n.exp() + product).log().mean()
    assert theirs.item() == pytest.approx(expanded.item(), rel=1e-9)
    assert ours.item() == pytest.approx((1 + product).log().mean().item(), rel=1e-9)
    # close positives (sum_p far below 1) cannot pay for a negative beyond m
    assert theirs.item() > 1.2 * ours.item()


def test_alpha_with_reversed_signs_and_cosines_rescaled():
    """quaterion: alpha_p = [s_p + O_p]_+, alpha_n = [s_n + O_n]_+ on (1 + cos) / 2."""
    x, y = batch()
    s, positive, negative = matrices(x, y)
    s = (s + 1) / 2
    alpha_p, alpha_n = (s + 1 + M).relu().detach(), (s - M).relu().detach()
    p = (-GAMMA * alpha_p * (s - (1 - M)))[positive.triu()]
    n = (GAMMA * alpha_n * (s - M))[negative.triu()]
    theirs = softplus(p.logsumexp(0) + n.logsumexp(0))
    ours = CircleLoss(GAMMA, M, pairs="batch")(x, y)
    assert abs(theirs.item() / ours.item() - 1) > 0.1
    # a right angle, s_n = 0 of the paper, becomes 0.5: beyond Delta_n
    assert (s[negative] > M).double().mean() > 0.5


def test_masked_similarities_at_zero():
    """FastReID before December 2020: pairs that do not belong stay in, with similarity 0.

    As positives they have the exponent gamma (1 - m²), so that the logsumexp over positives has
    that floor however close the positives are; as negatives they have -gamma m².
    """
    x, y = batch(spread=1e-3)
    s, positive, negative = matrices(x, y)
    p, n = exponents(s * positive)[0], exponents(s * negative)[1]
    assert p[~positive].allclose(torch.tensor(GAMMA * (1 - M * M), dtype=torch.float64))
    assert n[~negative].allclose(torch.tensor(-GAMMA * M * M, dtype=torch.float64))
    theirs = softplus(p.logsumexp(1) + n.logsumexp(1))
    floor = GAMMA * (1 - 2 * M * M)
    assert (theirs >= floor).all()
    assert CircleLoss(GAMMA, M, reduction="none")(x, y).min() < floor / 2


def test_anchors_without_pairs_counted_in_the_mean():
    """FastReID since then, and others that end in .mean(): each such anchor adds a 0."""
    x, _ = batch(size=8)
    y = torch.tensor([0, 0, 1, 1, 2, 3, 4, 5])
    s, positive, negative = matrices(x, y)
    p, n = exponents(s)
    far = -99999999.0
    sum_p = (p.masked_fill(~positive, 0) + far * ~positive).logsumexp(1)
    sum_n = (n.masked_fill(~negative, 0) + far * ~negative).logsumexp(1)
    theirs = softplus(sum_p + sum_n).mean()
    assert theirs.item() == pytest.approx(CircleLoss(GAMMA, M)(x, y).item() * 4 / 8, rel=1e-9)


def test_zeros_left_out_of_the_mean():
    """pytorch-metric-learning: the mean leaves out losses that are 0, with or without pairs."""
    solved = torch.eye(4).repeat(2, 1)
    hard = torch.tensor([[1.0, 1, 0, 0], [-1, 1, 0, 0]])
    x, y = torch.cat([solved, hard]), torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 4, 4])
    values = CircleLoss(1024, M, reduction="none")(x, y)
    zeros = (values < 1e-30).sum().item()
    assert 0 < zeros < 10
    theirs = OtherCircleLoss(m=M, gamma=1024)(x, y).item()
    assert CircleLoss(1024, M)(x, y).item() == pytest.approx(theirs * (10 - zeros) / 10, rel=1e-5)
