"""BatchNorm over the batches of all processes, on any device.

torch.nn.SyncBatchNorm does this on GPUs alone. A network that was trained with it embeds like one
that was trained by one process: statistics, gradients and the state of the layer are the same.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm


def gather_statistics(network: nn.Module) -> None:
    """Put a `GatheredBatchNorm` in the place of each BatchNorm of a network, with its state."""
    for name, layer in network.named_children():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            gathered = GatheredBatchNorm(
                layer.num_features, layer.eps, layer.momentum, layer.affine
            )
            gathered.weight, gathered.bias = layer.weight, layer.bias
            for key, buffer in layer.named_buffers():
                gathered.register_buffer(key, buffer)
            setattr(network, name, gathered)
        else:
            gather_statistics(layer)


class GatheredBatchNorm(_BatchNorm):
    """BatchNorm whose statistics in training are those of the global batch, on every process.

    The backward pass gives what `GatheredLoss` gives: its mean over the processes is the gradient
    of one process. In evaluation mode it is plain BatchNorm. Every process of torch.distributed
    calls it, and calls backward if one does.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, ...); B may differ from process to process."""
        if not self.training:
            return super().forward(input)
        mean, var, count = _global_statistics(input)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            unbiased = var * count / (count - 1)
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        return _Normalise.apply(  # type: ignore[no-any-return]
            input, self.weight, self.bias, mean, var, count, self.eps
        )

    def _check_input_dim(self, input: Tensor) -> None:
        """Take (B, C) and (B, C, H, W) alike."""


@torch.no_grad()
def _global_statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), variance (C,), and the number of values () a channel, over all processes."""
    count = x.numel() // x.shape[1]
    computed = x.to(torch.promote_types(x.dtype, torch.float32))
    axes = [axis for axis in range(x.dim()) if axis != 1]
    if count:
        var, mean = torch.var_mean(computed, axes, correction=0)
    else:
        var = mean = computed.new_zeros(x.shape[1])
    sent = torch.cat([mean.new_tensor([count]), mean, var]).double()
    received = sent.new_empty(dist.get_world_size() * len(sent))
    dist.all_gather_single(received, sent)
    counts, means, variances = received.view(-1, len(sent)).split([1, len(mean), len(var)], 1)
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    var = (counts * (variances + (means - mean).square())).sum(0) / total
    return mean.to(computed.dtype), var.to(computed.dtype), total.to(computed.dtype)


class _Normalise(torch.autograd.Function):
    """BatchNorm by statistics of the global batch, through which gradients go back to all of it."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var, count)
        ctx.eps = eps
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var, count = ctx.saved_tensors
        scale = torch.ones_like(mean) if weight is None else weight
        if x.numel():
            statistics = (mean, var, None, None, False, ctx.eps)
            d_x, d_weight, d_bias = torch.ops.aten.native_batch_norm_backward(
                grads[0], x, scale, *statistics, [True, True, True]
            )
        else:  # which ends the process in there
            d_x, d_weight, d_bias = grads[0], torch.zeros_like(mean), torch.zeros_like(mean)
        # what every value gets by way of the mean and the variance, which it has a share in
        d_both = torch.stack([d_bias, d_weight])  # (2, C)
        dist.all_reduce(d_both)
        inverse = (var + ctx.eps).rsqrt()
        shape = [1, -1, *[1] * (x.dim() - 2)]
        by_mean, by_var = (d_both * scale * inverse / count).unbind()
        shared = (x - mean.view(shape)) * (by_var * inverse).view(shape) + by_mean.view(shape)
        d_x = (d_x - shared).to(x.dtype)
        return d_x, *((d_weight, d_bias) if weight is not None else (None, None)), *[None] * 4
