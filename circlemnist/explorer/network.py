"""A network as the page takes it: a list of plain layers, and their numbers in one row."""

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
    """The layers that `network.js` computes an embedding and features with."""

    layers: list[dict[str, Any]]  # the `kind` of each, and what its kind needs
    numbers: Array  # (P,) float32, those of all layers in their order
    featuring: int  # number of layers that give the features of the last convolution


def plain_network(embedder: Embedder) -> PlainNetwork:
    """Return the layers of an embedder in eval mode, the normalisation of its pixels the first.

    BatchNorm becomes a scale and a shift for each channel, computed in float64.
    """
    std = _float64(embedder.std).reshape(1)
    layers = [_affine(1 / std, -_float64(embedder.mean) / std), *_convert(embedder.layers)]
    if embedder.head is not None:
        # √F is the length that the head takes
        linear = next(layer for layer in embedder.head.children() if isinstance(layer, nn.Linear))
        layers.append(({"kind": "normalise", "length": linear.in_features**0.5}, []))
        layers += _convert(embedder.head)
    if embedder.on_sphere:
        layers.append(({"kind": "normalise", "length": 1}, []))
    numbers = np.concatenate([array.ravel() for _, arrays in layers for array in arrays])
    featuring = 1 + len(_convert(up_to_last_convolution(embedder)))  # 1 for the pixels
    return PlainNetwork([layer for layer, _ in layers], numbers.astype("<f4"), featuring)


def _convert(module: nn.Module) -> list[Layer]:
    layers: list[Layer] = []
    for layer in module.children():
        match layer:
            case nn.Conv2d():
                (kernel, _), (stride, _), padding = layer.kernel_size, layer.stride, layer.padding
                assert not isinstance(padding, str)
                sizes = {"channels": layer.out_channels, "kernel": kernel, "stride": stride}
                facts = {"kind": "convolution", **sizes, "padding": padding[0]}
                layers.append((facts, _bias_and_weight(layer)))
            case nn.Linear():
                facts = {"kind": "linear", "size": layer.out_features}
                layers.append((facts, _bias_and_weight(layer)))
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                assert layer.running_mean is not None
                assert layer.running_var is not None
                scale = (_float64(layer.running_var) + layer.eps) ** -0.5
                shift = -_float64(layer.running_mean) * scale
                if layer.affine:
                    weight = _float64(layer.weight)
                    scale, shift = scale * weight, shift * weight + _float64(layer.bias)
                layers.append(_affine(scale, shift))
            case nn.MaxPool2d():
                layers.append(({"kind": "pool"}, []))
            case nn.ReLU():
                layers.append(({"kind": "relu"}, []))
            case nn.Flatten():
                pass
            case _:
                raise TypeError(f"the page has no layer {layer}")
    return layers


def _bias_and_weight(layer: nn.Conv2d | nn.Linear) -> list[Array]:
    weight = _float64(layer.weight)
    return [np.zeros(len(weight)) if layer.bias is None else _float64(layer.bias), weight]


def _affine(scale: Array, shift: Array) -> Layer:
    return {"kind": "affine", "channels": len(scale)}, [scale, shift]


def _float64(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().double().numpy()
    return array
