"""Circle Loss for class-level labels: `CircleLoss` with one learnable reference a class."""

import math

import torch
from torch import Tensor, nn

from circlemnist.losses.circle_kernel.autograd import anchor_loss, full_precision, pair_inputs
from circlemnist.losses.inputs import Reduction, check_settings, check_sizes, class_inputs


class ClassCircleLoss(nn.Module):
    """Circle Loss with class-level labels: the references are learnable weights, one a class.

    An anchor's one positive is the weight of its class (K = 1 in Eq. 6) and its negatives are the
    other weights: cross-entropy over the logits gamma * alpha * (s - Delta).

    Args:
        num_classes: at least 1; with one class there is no negative and the loss is 0.
        embedding_dim: D, at least 1.
        gamma, m, reduction, normalize: as for `CircleLoss`; weights are normalised likewise.

    Raises:
        TypeError, ValueError: for a setting outside of these, naming its value.

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
        check_sizes(num_classes, embedding_dim)
        self.gamma, self.m = float(gamma), float(m)
        self.reduction, self.normalize = reduction, normalize
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights of random direction and a length near 1."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.weight.shape[1]))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            embeddings: (B, D) of any float dtype; B may be 0.
            labels: (B,) of any integer dtype, in 0..num_classes - 1. On an accelerator and within
                torch.compile nobody looks: another one makes the loss NaN.

        Returns:
            () tensor, or (B,) for reduction="none".

        Raises:
            TypeError, ValueError: for dtypes, shapes, lengths, devices or labels that do not fit.
        """
        embeddings, labels = class_inputs(embeddings, labels, self.weight)
        classes = torch.arange(len(self.weight), device=self.weight.device)
        with full_precision(embeddings):
            inputs = pair_inputs(embeddings, labels, self.weight, classes, None, self.normalize)
            return anchor_loss(inputs, self.gamma, self.m, self.reduction)

    def extra_repr(self) -> str:
        """Return the settings, for `print`."""
        num_classes, embedding_dim = self.weight.shape
        return (
            f"num_classes={num_classes}, embedding_dim={embedding_dim}, gamma={self.gamma:g}, "
            f"m={self.m:g}, reduction={self.reduction!r}, normalize={self.normalize}"
        )
