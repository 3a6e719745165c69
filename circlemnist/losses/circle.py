"""Circle Loss (Sun et al., CVPR 2020, arXiv 2002.10857), for pair-wise and class-level labels.

    from circlemnist import CircleLoss

    loss = CircleLoss(gamma=80, m=0.25)(embeddings, labels)
    loss.backward()

For one anchor with the similarities s_p of its same-class and s_n of its different-class pairs::

    L = log[1 + sum_j exp(gamma alpha_n^j (s_n^j - Delta_n))
              * sum_i exp(-gamma alpha_p^i (s_p^i - Delta_p))]                      (Eq. 6)

    alpha_p = [O_p - s_p]_+,  alpha_n = [s_n - O_n]_+                               (Eq. 5)
    O_p = 1 + m,  O_n = -m,  Delta_p = 1 - m,  Delta_n = m                          (Eq. 8)

alpha is a constant in the backward pass, so that with Z = 1 - exp(-L)::

    dL/ds_n^j =  Z softmax_j(gamma alpha_n (s_n - Delta_n)) gamma alpha_n^j         (Eq. 9)
    dL/ds_p^i = -Z softmax_i(-gamma alpha_p (s_p - Delta_p)) gamma alpha_p^i        (Eq. 10)

It is computed as softplus(logsumexp over positives + logsumexp over negatives), with the pairs
that do not belong at -inf.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from circlemnist.losses.circle_kernel.autograd import anchor_loss, batch_loss, pair_inputs
from circlemnist.losses.inputs import (
    Reduction,
    check_embeddings,
    check_references,
    check_settings,
    class_inputs,
)

PairSets = Literal["anchor", "batch"]


class CircleLoss(nn.Module):
    """Circle Loss with pair-wise labels (Eq. 6), each anchor against the pairs of its batch.

    Args:
        gamma: scale, finite and > 0. The paper: 80 (retrieval), 128 (re-identification),
            256 (faces).
        m: relaxation, -1 < m < 1; the decision circle has radius `sqrt(2) * |m|`.
        pairs: "anchor": one L for each anchor, over its own positives and negatives. "batch": one
            L for all pairs i < j of the batch together. With references, all (anchor, reference)
            pairs; a pair of samples that are both anchors and references counts twice there, which
            adds log 4 at most.
        reduction: "mean" over the anchors that have a positive and a negative (0 if there is no
            such anchor), "sum" over them, or "none": (B,) values, 0 for the other anchors. With
            pairs="batch" there is one value, 0 without both kinds of pairs; "mean" and "sum"
            return it as (), "none" as (1,).
        normalize: False takes the embeddings as they are, for those that have unit length already.

    Raises:
        TypeError, ValueError: for a setting outside of these.

    The loss is float64 for float64 embeddings and else float32, also under autocast; gradients
    have the dtypes of their embeddings. Memory does not grow with B², except under torch.compile. A
    second derivative raises RuntimeError.
    """

    def __init__(
        self,
        gamma: float = 80.0,
        m: float = 0.25,
        pairs: PairSets = "anchor",
        reduction: Reduction = "mean",
        *,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        check_settings(gamma, m, reduction)
        if pairs not in ("anchor", "batch"):
            raise ValueError(f"pairs is 'anchor' or 'batch', not {pairs!r}")
        self.gamma, self.m = float(gamma), float(m)
        self.pairs, self.reduction, self.normalize = pairs, reduction, normalize

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
        self_index: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch, against itself or against a set of references.

        Args:
            embeddings: (B, D) anchors of any float dtype; B may be 0.
            labels: (B,) of any integer dtype.
            ref_embeddings: (N, D) of any float dtype, for instance a memory bank or the embeddings
                gathered from all processes; default: the anchors. They get gradients too.
            ref_labels: (N,) of any integer dtype.
            self_index: (B,) int64 or int32, the row of ref_embeddings which is this anchor itself
                and so never its positive, -1 for none; default: none of them is.

        Returns:
            () tensor, or (B,) for reduction="none".

        Raises:
            TypeError, ValueError: for dtypes, shapes or lengths that do not fit.
        """
        check_embeddings(embeddings, labels)
        check_references(embeddings, labels, ref_embeddings, ref_labels, self_index)
        with torch.autocast(embeddings.device.type, enabled=False):
            inputs = pair_inputs(
                embeddings, labels, ref_embeddings, ref_labels, self_index, self.normalize
            )
            loss = anchor_loss if self.pairs == "anchor" else batch_loss
            return loss(inputs, self.gamma, self.m, self.reduction)


class ClassCircleLoss(nn.Module):
    """Circle Loss with class-level labels: the references are learnable weights, one a class.

    An anchor's one positive is the weight of its class (K = 1 in Eq. 6) and its negatives are the
    other weights: cross-entropy over the logits gamma * alpha * (s - Delta).

    Args:
        num_classes: at least 1; with one class there is no negative and the loss is 0.
        embedding_dim: D, at least 1.
        gamma, m, reduction, normalize: as for `CircleLoss`; weights are normalised likewise.

    Raises:
        TypeError, ValueError: for a gamma, m or reduction outside of these.

    `weight` is the (num_classes, embedding_dim) parameter; give it to the optimizer.
    """

    def __init__(
        self,
        num_classes: int,
        embedding_dim: int,
        gamma: float = 80.0,
        m: float = 0.25,
        reduction: Reduction = "mean",
        *,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        check_settings(gamma, m, reduction)
        self.gamma, self.m = float(gamma), float(m)
        self.reduction, self.normalize = reduction, normalize
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim))
        # of random direction, and a length near 1
        nn.init.normal_(self.weight, std=1 / math.sqrt(embedding_dim))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            embeddings: (B, D) of any float dtype; B may be 0.
            labels: (B,) of any integer dtype, in 0..num_classes - 1. On an accelerator and within
                torch.compile nobody looks: another one makes the loss NaN.

        Returns:
            () tensor, or (B,) for reduction="none".

        Raises:
            TypeError, ValueError: for dtypes, shapes, lengths or labels that do not fit.
        """
        embeddings, labels = class_inputs(embeddings, labels, self.weight)
        classes = torch.arange(len(self.weight), device=self.weight.device)
        with torch.autocast(embeddings.device.type, enabled=False):
            inputs = pair_inputs(embeddings, labels, self.weight, classes, None, self.normalize)
            return anchor_loss(inputs, self.gamma, self.m, self.reduction)
