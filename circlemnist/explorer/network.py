"""A network as the page takes it: a list of plain layers, and their numbers in one row."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from circlemnist.evaluation.known import up_to_last_convolution
from circlemnist.models.embedder import Embedder
from circlemnist.plots.style import Array

Layer = tuple[dict[str, Any], list[Array]]


@dataclass(frozen=True)
class PlainNetwork:
    """What `network.js` computes an embedding, and features, with.

    Attributes:
        layers: of each its `kind`, and what its kind needs.
        numbers: (P,) float32, those of all layers in their order.
        featuring: how many of the layers give the features of the last convolution.
    """

    layers: list[dict[str, Any]]
    numbers: Array
    featuring: int


def plain_network(embedder: Embedder) -> PlainNetwork:
    """Return the layers of an embedder in eval mode, the normalisation of its pixels the first.

    BatchNorm becomes a scale and a shift for each channel, computed in float64.
    """
    pairs = list(_plain_layers(embedder))
    numbers = [array.ravel() for _, arrays in pairs for array in arrays]
    featuring = 1 + sum(1 for _ in _convert(up_to_last_convolution(embedder)))  # 1 for the pixels
    layers = [layer for layer, _ in pairs]
    return PlainNetwork(layers, np.concatenate(numbers).astype("<f4"), featuring)


def _plain_layers(embedder: Embedder) -> Iterator[Layer]:
    std = _float64(embedder.std).reshape(1)
    yield _affine(1 / std, -_float64(embedder.mean) / std)
    yield from _convert(embedder.layers)
    if embedder.head is not None:
        # √F is the length that the head takes
        linear = next(layer for layer in embedder.head.children() if isinstance(layer, nn.Linear))
        yield {"kind": "normalise", "length": linear.in_features**0.5}, []
        yield from _convert(embedder.head)
    if embedder.on_sphere:
        yield {"kind": "normalise", "length": 1}, []


def _convert(layers: nn.Module) -> Iterator[Layer]:
    for layer in layers.children():
        match layer:
            case nn.Conv2d():
                yield _convolution(layer)
            case nn.Linear():
                arrays = [_bias(layer, layer.out_features), _float64(layer.weight)]
                yield {"kind": "linear", "size": layer.out_features}, arrays
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                yield _folded(layer)
            case nn.MaxPool2d():
                yield {"kind": "pool"}, []
            case nn.ReLU():
                yield {"kind": "relu"}, []
            case nn.Flatten():
                pass
            case _:
                raise TypeError(f"the page has no layer {layer}")


def _convolution(layer: nn.Conv2d) -> Layer:
    (kernel, _), (stride, _), padding = layer.kernel_size, layer.stride, layer.padding
    assert not isinstance(padding, str)
    sizes = {"channels": layer.out_channels, "kernel": kernel, "stride": stride}
    arrays = [_bias(layer, layer.out_channels), _float64(layer.weight)]
    return {"kind": "convolution", **sizes, "padding": padding[0]}, arrays


def _bias(layer: nn.Conv2d | nn.Linear, size: int) -> Array:
    return np.zeros(size) if layer.bias is None else _float64(layer.bias)


def _folded(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Layer:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    scale = (_float64(layer.running_var) + layer.eps) ** -0.5
    shift = -_float64(layer.running_mean) * scale
    if layer.affine:
        weight = _float64(layer.weight)
        scale, shift = scale * weight, shift * weight + _float64(layer.bias)
    return _affine(scale, shift)


def _affine(scale: Array, shift: Array) -> Layer:
    return {"kind": "affine", "channels": len(scale)}, [scale, shift]


def _float64(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().double().numpy()
    return array
