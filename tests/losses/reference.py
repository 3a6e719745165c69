"""Circle Loss in float64, one pair at a time, from the paper's equations: the truth for tests."""

import math

import torch

from circlemnist.family import FAMILY
from circlemnist.losses import build_loss


def built(name, classes, dim, **settings):
    """A loss with the gamma and m of the program's settings, where no others are given."""
    hyperparameters = FAMILY[name].hyperparameters.items()
    defaults = {setting: parameter.default for setting, parameter in hyperparameters}
    return build_loss(name, num_classes=classes, embedding_dim=dim, **{**defaults, **settings})


def log_sum_exp(values):
    top = max(values)
    return top + math.log(math.fsum(math.exp(v - top) for v in values))


def circle(sp, sn, gamma, m):
    """Eq. 6 of one anchor, and Eqs. 9 and 10: derivatives by each similarity, alpha constant.

    Similarities and derivatives are by the columns of their pairs.
    """
    if not sp or not sn:
        return 0.0, {}
    alpha_p = {i: max(1 + m - s, 0.0) for i, s in sp.items()}
    alpha_n = {j: max(s + m, 0.0) for j, s in sn.items()}
    exponent_p = {i: -gamma * alpha_p[i] * (s - (1 - m)) for i, s in sp.items()}
    exponent_n = {j: gamma * alpha_n[j] * (s - m) for j, s in sn.items()}
    sum_p, sum_n = log_sum_exp([*exponent_p.values()]), log_sum_exp([*exponent_n.values()])
    x = sum_p + sum_n
    z = 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))
    slopes = {j: z * math.exp(e - sum_n) * gamma * alpha_n[j] for j, e in exponent_n.items()}
    slopes |= {i: -z * math.exp(e - sum_p) * gamma * alpha_p[i] for i, e in exponent_p.items()}
    return max(x, 0.0) + math.log1p(math.exp(-abs(x))), slopes


def per_anchor(similarities, labels, reference_labels, own, gamma, m):
    """Values (B,) and (B, N) derivatives of their sum by the similarities."""
    slopes, values = torch.zeros_like(similarities), []
    for a, row in enumerate(similarities.tolist()):
        others = [r for r in range(len(row)) if r != own[a]]
        sp = {r: row[r] for r in others if reference_labels[r] == labels[a]}
        sn = {r: row[r] for r in others if reference_labels[r] != labels[a]}
        value, by_similarity = circle(sp, sn, gamma, m)
        values.append(value)
        for r, slope in by_similarity.items():
            slopes[a, r] = slope
    return torch.tensor(values, dtype=similarities.dtype), slopes


def whole_batch(similarities, labels, reference_labels, pairs, gamma, m):
    """One value over these pairs (i, j), and (B, N) derivatives by the similarities."""
    sp, sn = {}, {}
    for i, j in pairs:
        (sp if labels[i] == reference_labels[j] else sn)[i, j] = similarities[i, j].item()
    value, by_similarity = circle(sp, sn, gamma, m)
    slopes = torch.zeros_like(similarities)
    for pair, slope in by_similarity.items():
        slopes[pair] = slope
    return value, slopes


def through_cosines(x, r, slopes):
    """Derivatives by the rows of x and r of a function with these derivatives by their cosines."""
    x, r = x.detach().requires_grad_(), r.detach().requires_grad_()
    return torch.autograd.grad((cosines(x, r) * slopes).sum(), (x, r))


def cosines(x, r):
    """(B, N) cosines in float64."""
    x, r = x.double(), r.double()
    return (x / x.norm(dim=1, keepdim=True)) @ (r / r.norm(dim=1, keepdim=True)).T
