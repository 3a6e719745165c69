"""AdaCos (Zhang et al., "AdaCos: Adaptively Scaling Cosine Logits for Effectively Learning Deep
Face Representations", CVPR 2019, arXiv 1905.00292): cosine softmax that sets its own scale.

    loss = AdaCosLoss(num_classes=10, embedding_dim=64)(embeddings, labels)
    loss.backward()

For a batch of N embeddings at the angles theta_{i,k} to the weights of the C classes::

    L = -1/N sum_i log softmax_{y_i}(s cos theta_i)

    s = sqrt(2) log(C - 1)            (section "Automatically choosing a fixed scale parameter")

and, in training, from that one on, with the scale before the batch in B_avg (section "Dynamically
adaptive scale parameter")::

    s         = log(B_avg) / cos(min(pi/4, theta_med))
    B_avg     = 1/N sum_i sum_{k != y_i} exp(s_before cos theta_{i,k})
    theta_med = median_i theta_{i,y_i}

The logarithm of B_avg is a logsumexp, which does not overflow.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circlemnist.losses.inputs import class_inputs, compute_dtype


class AdaCosLoss(nn.Module):
    """Cross-entropy of the scaled cosines to one learnable weight a class.

    Args:
        num_classes: C, at least 3: for two, log(C - 1) is 0.
        embedding_dim: D, at least 1.
        normalize: False takes embeddings and weights as they are, for those that have unit length
            already, or are coordinates.

    Raises:
        ValueError: there are fewer classes.

    `weight` is the (C, D) parameter; give it to the optimizer. `scale` is a () float32 buffer
    without gradient: every forward in training mode moves it, before it is used; in evaluation
    mode, or where the batch has a value that is not finite, it stays. As in the paper, nothing
    bounds it: of few classes, far from the other weights, it may fall below 0 for a step.

    The loss is float64 for float64 embeddings or weights and else float32, also under autocast;
    gradients have the dtypes of their tensors.
    """

    scale: Tensor

    def __init__(self, num_classes: int, embedding_dim: int, *, normalize: bool = True) -> None:
        super().__init__()
        if num_classes < 3:
            raise ValueError(f"num_classes is at least 3, not {num_classes}")
        self.normalize = normalize
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim))
        # of random direction, and a length near 1
        nn.init.normal_(self.weight, std=1 / math.sqrt(embedding_dim))
        fixed = math.sqrt(2) * math.log(num_classes - 1)
        self.register_buffer("scale", torch.tensor(fixed, dtype=torch.float32))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch; in training mode the scale moves first.

        Args:
            embeddings: (B, D) of any float dtype; B may be 0, which gives 0 and moves no scale.
            labels: (B,) of any integer dtype, in 0..num_classes - 1. On an accelerator and within
                torch.compile nobody looks: another one makes the loss NaN and moves no scale.

        Returns:
            () tensor.

        Raises:
            TypeError, ValueError: for dtypes, shapes, lengths or labels that do not fit.
        """
        embeddings, labels = class_inputs(embeddings, labels, self.weight)
        dtype = compute_dtype(embeddings, self.weight)
        with torch.autocast(embeddings.device.type, enabled=False):
            x, weight = embeddings.to(dtype), self.weight.to(dtype)
            if self.normalize:
                x, weight = _unit_rows(x), _unit_rows(weight)
            cosines = x @ weight.T  # (B, C)
            if self.training and len(x):
                self._move_scale(cosines, labels)
            # a copy, as the next batch may move the buffer before this one's backward needs it
            logits = self.scale.clone() * cosines
            # a sum, as a mean over no embeddings would be NaN
            return F.cross_entropy(logits, labels, reduction="sum") / max(len(x), 1)

    @torch.no_grad()
    def _move_scale(self, cosines: Tensor, labels: Tensor) -> None:
        """Set the scale for a batch of (B, C) cosines."""
        own = labels[:, None]
        others = (self.scale * cosines).scatter(1, own, -torch.inf)
        log_b_avg = others.flatten().logsumexp(0) - math.log(len(cosines))
        # rounded, or of coordinates, a cosine may leave -1..1, where there is no angle
        theta = cosines.gather(1, own).clamp(-1, 1).acos()
        theta_med = theta.quantile(0.5)
        scale = log_b_avg / theta_med.clamp(max=math.pi / 4).cos()
        self.scale.copy_(torch.where(scale.isfinite(), scale, self.scale))


def _unit_rows(x: Tensor) -> Tensor:
    """x / |x| for each row of (N, D); zero rows stay zero and get a zero gradient."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / norm.masked_fill(norm < 1e-12, torch.inf)
