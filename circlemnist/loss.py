"""Circle Loss (Sun et al., CVPR 2020, arXiv 2002.10857)."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PairStatistics(NamedTuple):
    """What a training loop shows; detached scalars on the device of the embeddings."""

    mean_sp: Tensor
    mean_sn: Tensor
    crossed: Tensor


def _similarity_logits(s: Tensor, gamma: float, m: float) -> tuple[Tensor, Tensor]:
    alpha_p = (1 + m - s.detach()).clamp_min(0)
    alpha_n = (s.detach() + m).clamp_min(0)
    return -gamma * alpha_p * (s - (1 - m)), gamma * alpha_n * (s - m)


class CircleLoss(nn.Module):
    """Circle Loss with pair-wise labels, Eq. 6."""

    def __init__(
        self, gamma: float = 80.0, m: float = 0.25, pairs: str = "anchor", *, normalize: bool = True
    ) -> None:
        super().__init__()
        self.gamma, self.m, self.pairs, self.normalize = gamma, m, pairs, normalize

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of embeddings (B, D) with labels (B,)."""
        return self.with_statistics(embeddings, labels)[0]

    def with_statistics(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, PairStatistics]:
        """Return the mean loss and the statistics of its pairs."""
        if self.normalize:
            embeddings = F.normalize(embeddings)
        s = embeddings @ embeddings.T  # (B, B)
        same = labels[:, None] == labels
        negative = ~same
        positive = same.fill_diagonal_(False)
        logits_p, logits_n = _similarity_logits(s, self.gamma, self.m)
        logits_p = logits_p.masked_fill(~positive, -math.inf)
        logits_n = logits_n.masked_fill(~negative, -math.inf)
        if self.pairs == "batch":
            logits_p, logits_n = logits_p.view(1, -1), logits_n.view(1, -1)
            ln2 = math.log(4)
            per_anchor = F.softplus(logits_p.logsumexp(1) + logits_n.logsumexp(1) - ln2)
            valid = positive.any().view(1) & negative.any().view(1)
        else:
            per_anchor = F.softplus(logits_p.logsumexp(1) + logits_n.logsumexp(1))
            valid = positive.any(1) & negative.any(1)
        loss = per_anchor.masked_fill(~valid, 0).sum() / valid.sum().clamp_min(1)
        with torch.no_grad():
            count_p, count_n = positive.sum().clamp_min(1), negative.sum().clamp_min(1)
            mean_sp, mean_sn = (s * positive).sum() / count_p, (s * negative).sum() / count_n
        return loss, PairStatistics(mean_sp, mean_sn, mean_sp * 0)


class ClassCircleLoss(nn.Module):
    """Circle Loss with class-level labels, Eq. 6 with K = 1."""

    def __init__(
        self, num_classes: int, embedding_dim: int, gamma: float = 80.0, m: float = 0.25
    ) -> None:
        super().__init__()
        self.gamma, self.m = gamma, m
        self.weight = nn.Parameter(torch.randn(num_classes, embedding_dim))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of embeddings (B, D) with labels (B,)."""
        return self.with_statistics(embeddings, labels)[0]

    def with_statistics(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, PairStatistics]:
        """Return the mean loss and the statistics of its similarities."""
        s = F.normalize(embeddings) @ F.normalize(self.weight).T  # (B, C)
        positive = F.one_hot(labels, len(self.weight)).bool()
        logits_p, logits_n = _similarity_logits(s, self.gamma, self.m)
        loss = F.cross_entropy(torch.where(positive, -logits_p, logits_n), labels)
        sp, sn = s[positive].detach().mean(), s[~positive].detach().mean()
        return loss, PairStatistics(sp, sn, sp * 0)
