"""CircleLoss and ClassCircleLoss against the paper's equations in float64, pair by pair."""

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from circlemnist import CircleLoss, ClassCircleLoss
from circlemnist.losses.inputs import nan_where_unknown
from tests.losses.reference import cosines, per_anchor, through_cosines, whole_batch

SETTINGS = [(80.0, 0.25), (1.0, 0.0), (256.0, 0.4), (1024.0, -0.3), (32.0, 0.9), (80.0, -0.9)]


def batch(size, dim=5, classes=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, dim, generator=generator, dtype=torch.float64).to(dtype)
    y = torch.randint(classes, (size,), generator=generator)
    return x.requires_grad_(), y


def relative(a, b):
    return ((a - b).norm() / b.norm().clamp_min(1e-300)).item()


def anchors_with_both(y):
    same = y[:, None] == y
    return ((same.sum(1) > 1) & ~same.all(1)).sum().item()


@pytest.mark.parametrize(("gamma", "m"), SETTINGS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_value_and_gradient_equal_equations_6_9_and_10(gamma, m, reduction):
    x, y = batch(17)
    labels = y.tolist()
    values, slopes = per_anchor(cosines(x, x), labels, labels, [*range(17)], gamma, m)
    n = anchors_with_both(y) if reduction == "mean" else 1
    d_anchor, d_reference = through_cosines(x.detach(), x.detach(), slopes)

    loss = CircleLoss(gamma, m, reduction=reduction)(x, y)
    loss.backward()

    assert loss.item() == pytest.approx(sum(values) / n, rel=1e-10)
    assert relative(x.grad, (d_anchor + d_reference) / n) <= 1e-10


@pytest.mark.parametrize(("gamma", "m"), SETTINGS)
def test_unreduced_values_and_weighted_gradient(gamma, m):
    x, y = batch(13, classes=6)
    labels = y.tolist()
    values, slopes = per_anchor(cosines(x, x), labels, labels, [*range(13)], gamma, m)
    weight = torch.randn(13, dtype=torch.float64)
    d_anchor, d_reference = through_cosines(x.detach(), x.detach(), slopes * weight[:, None])

    loss = CircleLoss(gamma, m, reduction="none")(x, y)
    (loss * weight).sum().backward()

    torch.testing.assert_close(loss, torch.tensor(values, dtype=torch.float64), rtol=1e-10, atol=0)
    assert relative(x.grad, d_anchor + d_reference) <= 1e-10


@pytest.mark.parametrize(("gamma", "m"), SETTINGS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_whole_batch_is_one_logsumexp_over_pairs_i_below_j(gamma, m, reduction):
    x, y = batch(11)
    value, slopes = whole_batch(cosines(x, x), y.tolist(), gamma, m)
    d_anchor, d_reference = through_cosines(x.detach(), x.detach(), slopes)

    loss = CircleLoss(gamma, m, pairs="batch", reduction=reduction)(x, y)
    loss.sum().backward()

    assert loss.shape == ((1,) if reduction == "none" else ())
    assert loss.item() == pytest.approx(value, rel=1e-10)
    assert relative(x.grad, d_anchor + d_reference) <= 1e-10


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_references_and_their_gradient(marked, reduction):
    x, y = batch(7, seed=1)
    r, z = batch(12, seed=2)
    own = torch.full((7,), -1)
    if marked:
        own = torch.tensor([3, -1, 8, 0, -1, 11, 5])
        z = z.clone()
        z[own[own >= 0]] = y[own >= 0]
    values, slopes = per_anchor(cosines(x, r), y.tolist(), z.tolist(), own.tolist(), 80, 0.25)
    both = (slopes > 0).any(1) & (slopes < 0).any(1)
    n = both.sum().item() if reduction == "mean" else 1
    d_x, d_r = through_cosines(x.detach(), r.detach(), slopes)

    loss = CircleLoss(reduction=reduction)(x, y, r, z, own if marked else None)
    loss.sum().backward()

    assert loss.sum().item() == pytest.approx(sum(values) / n, rel=1e-10)
    assert relative(x.grad, d_x / n) <= 1e-10
    assert relative(r.grad, d_r / n) <= 1e-10


def test_references_that_are_the_anchors_give_the_loss_without_references():
    x, y = batch(9)
    alone = CircleLoss()(x, y)
    (wanted,) = torch.autograd.grad(alone, x)
    marked = CircleLoss()(x, y, x, y, torch.arange(9, dtype=torch.int32))
    (found,) = torch.autograd.grad(marked, x)
    assert marked.item() == pytest.approx(alone.item(), rel=1e-12)
    assert relative(found, wanted) <= 1e-12


def test_two_processes_with_gathered_references_equal_one():
    x, y = batch(12)
    CircleLoss(reduction="sum")(x, y).backward()
    halves = x.detach().clone().requires_grad_()
    total = sum(
        CircleLoss(reduction="sum")(halves[s], y[s], halves, y, torch.arange(12)[s])
        for s in (slice(0, 6), slice(6, 12))
    )
    total.backward()
    assert relative(halves.grad, x.grad) <= 1e-12


def test_references_in_the_whole_batch_variant_count_each_anchor_reference_pair():
    x, y = batch(4, seed=5)
    r, z = batch(6, seed=6)
    s = cosines(x, r)
    same = y[:, None] == z
    sp, sn = s[same], s[~same]
    exponent_p = -80 * (1.25 - sp).relu() * (sp - 0.75)
    exponent_n = 80 * (sn + 0.25).relu() * (sn - 0.25)
    wanted = F.softplus(exponent_p.logsumexp(0) + exponent_n.logsumexp(0), threshold=1000)
    assert CircleLoss(pairs="batch")(x, y, r, z).item() == pytest.approx(wanted.item(), rel=1e-10)


@pytest.mark.parametrize("references", [2, 9])
def test_one_anchor_is_a_whole_batch(references):
    x, y = batch(1)
    r, z = batch(references)
    z = torch.arange(references) % 2 + y
    found = [CircleLoss(pairs=pairs)(x, y, r, z) for pairs in ("batch", "anchor")]
    slopes = [torch.cat(torch.autograd.grad(loss, [x, r])) for loss in found]
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-12)
    assert found[0] > 0
    assert relative(*slopes) <= 1e-12


def test_gradcheck_with_alpha_frozen():
    x, y = batch(8, dim=4)
    gamma, m = 16.0, 0.25
    same = y[:, None] == y
    positive, negative = same & ~torch.eye(8, dtype=torch.bool), ~same
    s0 = cosines(x, x)
    alpha_p, alpha_n = (1 + m - s0).relu(), (s0 + m).relu()

    class Frozen(torch.autograd.Function):
        """The loss with alpha kept at its value in x; the gradient is the one under test."""

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            s = cosines(x, x)
            p = (-gamma * alpha_p * (s - 1 + m)).masked_fill(~positive, -torch.inf).logsumexp(1)
            n = (gamma * alpha_n * (s - m)).masked_fill(~negative, -torch.inf).logsumexp(1)
            return torch.logaddexp(p + n, torch.zeros(()))

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            x = x.detach().requires_grad_()
            with torch.enable_grad():
                loss = CircleLoss(gamma, m, reduction="none")(x, y)
            return torch.autograd.grad(loss, x, grad)[0]

    assert torch.autograd.gradcheck(Frozen.apply, (x,), rtol=1e-6, atol=1e-7)


def test_normalize_false_takes_similarities_as_they_are():
    x, y = batch(10)
    unit = F.normalize(x.detach()).requires_grad_()
    loss = CircleLoss()(x, y)
    raw = CircleLoss(normalize=False)(unit, y)
    assert raw.item() == pytest.approx(loss.item(), rel=1e-12)
    values, _ = per_anchor(
        (x @ x.T).detach(), y.tolist(), y.tolist(), [*range(10)], gamma=80.0, m=0.25
    )
    wanted = sum(values) / anchors_with_both(y)
    assert CircleLoss(normalize=False)(x, y).item() == pytest.approx(wanted, rel=1e-10)


def with_gradient(loss, x, *inputs):
    return loss(x.detach().requires_grad_(), *inputs)


def without(loss, x, *inputs):
    return loss(x.detach(), *inputs)


@pytest.mark.parametrize("evaluate", [with_gradient, without])
@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("counted", [0, 1, 2, 3])
def test_mean_leaves_out_anchors_without_both_kinds_of_pairs(
    monkeypatch, evaluate, traced, counted
):
    if traced:
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    x, _ = batch(5)
    r, _ = batch(4, seed=1)
    y, z = torch.tensor([0] * counted + [1, 2, 3, 4, 5][counted:]), torch.tensor([0, 0, 6, 7])
    each = evaluate(CircleLoss(reduction="none"), x, y, r, z)
    assert each[counted:].eq(0).all()
    wanted = each.sum().item() / max(counted, 1)
    assert evaluate(CircleLoss(), x, y, r, z).item() == pytest.approx(wanted, rel=1e-12)
    if counted != 1:  # without references a lone sample has no positive
        each = evaluate(CircleLoss(reduction="none"), x, y)
        wanted = each.sum().item() / max(counted, 1)
        assert evaluate(CircleLoss(), x, y).item() == pytest.approx(wanted, rel=1e-12)


class TestClassLevel:
    def logits(self, x, weight, y, gamma, m):
        s = cosines(x, weight)
        own = F.one_hot(y, len(weight)).bool()
        alpha = torch.where(own, 1 + m - s, s + m).relu()
        return gamma * alpha * torch.where(own, s - (1 - m), s - m)

    @pytest.mark.parametrize(("gamma", "m"), SETTINGS)
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    def test_is_cross_entropy_over_alpha_weighted_logits(self, gamma, m, reduction):
        x, y = batch(9, classes=6)
        loss = ClassCircleLoss(6, 5, gamma, m, reduction).double()
        wanted = F.cross_entropy(self.logits(x, loss.weight, y, gamma, m), y, reduction=reduction)
        torch.testing.assert_close(loss(x, y).detach(), wanted, rtol=1e-10, atol=1e-12)

    def test_gradients_of_embeddings_and_weights(self):
        x, y = batch(9, classes=6)
        loss = ClassCircleLoss(6, 5).double()
        none = [-1] * 9
        _, slopes = per_anchor(cosines(x, loss.weight), y.tolist(), [*range(6)], none, 80, 0.25)
        d_x, d_w = through_cosines(x.detach(), loss.weight.detach(), slopes / 9)
        loss(x, y).backward()
        assert relative(x.grad, d_x) <= 1e-10
        assert relative(loss.weight.grad, d_w) <= 1e-10

    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    def test_labels_out_of_range_make_a_compiled_loss_nan(self, reduction):
        """Within torch.compile, as on an accelerator, nobody looks, and nothing is passed over."""
        torch.compiler.reset()
        loss = ClassCircleLoss(6, 5, reduction=reduction)
        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        x, known = torch.randn(4, 5), torch.tensor([0, 1, 5, 3])
        torch.testing.assert_close(compiled(x, known), loss(x, known))
        values = compiled(x, torch.tensor([0, 6, 5, -1]))
        assert values.isnan().tolist() == ([False, True] * 2 if reduction == "none" else True)

    def test_only_rows_of_unknown_classes_become_nan(self):
        x = torch.randn(4, 5, dtype=torch.float16, requires_grad=True)
        with FakeTensorMode(allow_non_fake_inputs=True):  # looking at a value raises
            nan_where_unknown(x, torch.arange(4), 3)
        found = nan_where_unknown(x, torch.tensor([-1, 0, 2, 3]), 3)
        assert found.isnan().all(1).tolist() == [True, False, False, True]
        assert found[1:3].equal(x[1:3])
        found.sum().backward()
        assert x.grad[1:3].eq(1).all()

    def test_one_class_and_empty_batch_give_zero(self):
        x = torch.randn(3, 5, requires_grad=True)
        loss = ClassCircleLoss(1, 5)
        loss(x, torch.zeros(3, dtype=torch.long)).backward()
        assert x.grad.eq(0).all()
        assert loss.weight.grad.eq(0).all()
        assert ClassCircleLoss(4, 5)(x[:0], torch.zeros(0, dtype=torch.long)).item() == 0

    @pytest.mark.parametrize("dim", [4, 400])
    def test_weights_begin_with_random_directions_and_a_length_near_1(self, dim):
        weight = ClassCircleLoss(4000 // dim, dim).weight.detach()
        assert weight.square().sum(1).mean().item() == pytest.approx(1, abs=0.1)
        assert weight.mean().abs() * dim**0.5 <= 0.05
        assert ClassCircleLoss(4000 // dim, dim).weight.ne(weight).all()

    def test_state_dict_and_description(self):
        loss = ClassCircleLoss(6, 5, gamma=64, m=0.35)
        assert list(loss.state_dict()) == ["weight"]
        assert repr(loss) == (
            "ClassCircleLoss(num_classes=6, embedding_dim=5, gamma=64, m=0.35, reduction='mean', "
            "normalize=True)"
        )

    def test_defaults_are_those_of_the_pair_wise_loss(self):
        mine, theirs = vars(ClassCircleLoss(6, 5)), vars(CircleLoss())
        for name in ("gamma", "m", "reduction", "normalize"):
            assert mine[name] == theirs[name]


def test_description_names_the_settings():
    assert repr(CircleLoss()) == (
        "CircleLoss(gamma=80, m=0.25, pairs='anchor', reduction='mean', normalize=True)"
    )
