"""Center Loss (Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition",
ECCV 2016).

    loss = CenterLoss(num_classes=10, embedding_dim=64)(embeddings, labels)
    loss.backward()

For a batch of m embeddings x_i of the classes y_i, with the centre c_j of each class::

    L_S = -sum_i log softmax_{y_i}(W x_i + b)                                       (Eq. 1)
    L_C = 1/2 sum_i |x_i - c_{y_i}|²                                                (Eq. 2)
    L   = L_S + lambda L_C                                                          (Eq. 5)

A centre is no parameter: it follows the embeddings of its class, batch by batch::

    delta c_j = sum_{y_i = j} (c_j - x_i) / (1 + n_j),  n_j the number of its x_i   (Eq. 4)
    c_j <- c_j - alpha delta c_j

The value is L / m, the mean over the batch, so that it does not depend on the batch size.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circlemnist.losses.inputs import class_inputs, compute_dtype


class CenterLoss(nn.Module):
    """Softmax cross-entropy of a linear layer, and the distances to the centres of the classes.

    Args:
        num_classes: C, at least 1.
        embedding_dim: D, at least 1.
        gamma: the paper's lambda, the share of the distances; finite and >= 0. The paper: 0.003.
        rate: the paper's alpha, how far a centre moves; 0 <= rate <= 1. The paper: 0.5.

    Raises:
        ValueError: for a gamma or rate outside of these.

    `weight` (C, D) and `bias` (C,) are parameters; give them to the optimizer. `centers` (C, D) is
    a buffer without gradient, 0 at first: every forward in training mode moves it, after it was
    used; in evaluation mode, or where the batch has a value that is not finite, it stays.

    The loss is float64 for float64 embeddings or weights and else float32, also under autocast;
    gradients have the dtypes of their tensors. Embeddings are taken as they are: not normalised.
    """

    centers: Tensor

    def __init__(
        self, num_classes: int, embedding_dim: int, gamma: float = 0.003, rate: float = 0.5
    ) -> None:
        super().__init__()
        if not (math.isfinite(gamma) and gamma >= 0):
            raise ValueError(f"gamma is finite and at least 0, not {gamma}")
        if not 0 <= rate <= 1:
            raise ValueError(f"rate lies between 0 and 1, not {rate}")
        self.gamma, self.rate = float(gamma), float(rate)
        bound = 1 / math.sqrt(embedding_dim)  # as in nn.Linear
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_classes).uniform_(-bound, bound))
        self.register_buffer("centers", torch.zeros(num_classes, embedding_dim))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch; in training mode the centres move.

        Args:
            embeddings: (B, D) of any float dtype; B may be 0, which gives 0 and moves no centre.
            labels: (B,) of any integer dtype, in 0..num_classes - 1. On an accelerator and within
                torch.compile nobody looks: another one makes the loss NaN and moves no centre.

        Returns:
            () tensor.

        Raises:
            TypeError, ValueError: for dtypes, shapes, lengths or labels that do not fit.
        """
        embeddings, labels = class_inputs(embeddings, labels, self.weight)
        dtype = compute_dtype(embeddings, self.weight)
        with torch.autocast(embeddings.device.type, enabled=False):
            x, centers = embeddings.to(dtype), self.centers.to(dtype)
            logits = F.linear(x, self.weight.to(dtype), self.bias.to(dtype))
            softmax = F.cross_entropy(logits, labels, reduction="sum")
            distances = (x - centers[labels]).square().sum()
            if self.training:
                self._move_centers(x, labels)
            # of sums, as a mean over no embeddings would be NaN
            return (softmax + self.gamma / 2 * distances) / max(len(x), 1)

    @torch.no_grad()
    def _move_centers(self, x: Tensor, labels: Tensor) -> None:
        """Eq. 4 for all centres at once: n_j c_j less the sum of the x_i, over 1 + n_j."""
        classes = torch.arange(len(self.centers), device=labels.device)
        belongs = (labels == classes[:, None]).to(x.dtype)  # (C, B)
        n = belongs.sum(1, keepdim=True)
        centers = self.centers.to(x.dtype)
        moved = centers - self.rate * (n * centers - belongs @ x) / (1 + n)
        self.centers.copy_(torch.where(moved.isfinite().all(), moved, centers))
