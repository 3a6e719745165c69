"""What the page embeds a drawing with: the network as plain layers, and what lies beside it."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.known import up_to_last_convolution
from circlemnist.evaluation.report import point_at
from circlemnist.models.embedder import SHIFTED_VIEWS, Embedder
from circlemnist.plots.projection import native_dimensions
from circlemnist.plots.style import Array

WIDEST_PEN = 0.25  # of the box
Layer = tuple[dict[str, Any], list[Array]]


def plain_network(embedder: Embedder) -> dict[str, Any]:
    """Return the network of an embedder in eval mode as `network.js` computes it.

    The first layer normalises the pixels. BatchNorm becomes a scale and a shift for each channel,
    computed in float64. `layers` have a `kind` and what it needs, `numbers` (P,) float32 are those
    of all layers in their order, and the first `featuring` layers give the features of the last
    convolution.
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
    return {
        "layers": [layer for layer, _ in layers],
        "numbers": numbers.astype(np.float32),
        "featuring": 1 + len(_convert(up_to_last_convolution(embedder))),  # 1 for the pixels
    }


def _convert(module: nn.Module) -> list[Layer]:
    layers: list[Layer] = []
    for layer in module.children():
        match layer:
            case nn.Conv2d() | nn.Linear():
                weight = _float64(layer.weight)
                bias = np.zeros(len(weight)) if layer.bias is None else _float64(layer.bias)
                facts: dict[str, Any] = {"kind": "linear", "size": len(weight)}
                if isinstance(layer, nn.Conv2d):
                    sizes = {"stride": layer.stride[0], "padding": int(layer.padding[0])}
                    facts = {"kind": "convolution", "channels": len(weight), **sizes}
                    facts["kernel"] = layer.kernel_size[0]
                layers.append((facts, [bias, weight]))
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


def _affine(scale: Array, shift: Array) -> Layer:
    return {"kind": "affine", "channels": len(scale)}, [scale, shift]


def _float64(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().double().numpy()
    return array


def pad_of(trained: EvaluatedRun) -> dict[str, Any] | str:
    """Return what `pad.js` reads of a run, or why there is no pad, in words.

    Beside the network these are: `views`, (row, column) of each view in an image with a border of
    one pixel; `unit`, whether embeddings have unit length; `box` and `pen` as `hand` returns them;
    `subspaces` (C, K, F) float16 of the features of the classes; the `threshold` above which a
    drawing is known; `known` (C,) bool, which classes the network was trained on; and `exact`,
    whether the numbers of an embedding are its place on the map.
    """
    try:
        network = plain_network(trained.embedder)
        subspaces, points = trained.typical
    except UserError as error:
        return str(error)
    arrays, (box, pen) = trained.report.arrays, hand(trained.test_images.numpy())
    return network | {
        "views": SHIFTED_VIEWS[: trained.config.views],
        "unit": trained.config.loss_info.on_sphere,
        "box": box,
        "pen": pen,
        "subspaces": subspaces.astype(np.float16),
        "threshold": point_at(points).threshold,
        "known": np.isin(np.arange(len(subspaces)), arrays.labels[trained.report.seen]),
        "exact": arrays.embeddings.shape[1] <= native_dimensions(trained.config),
    }


def hand(images: Array) -> tuple[int, float]:
    """Return how images (N, 28, 28) uint8 are written: the medians of two lengths, in pixels.

    They are the longer side of the box about the ink; and the width of a stroke, which has an edge
    on either side: twice the ink over the sum of its slopes, at most `WIDEST_PEN` of the box.
    """
    ink = images[images.max((1, 2)) > 0].astype(np.float32)
    sides = []
    for axis in (1, 2):
        inked = ink.max(axis) > 0  # (N, 28)
        sides.append(28 - inked.argmax(1) - inked[:, ::-1].argmax(1))
    box = int(np.median(np.maximum(*sides)))
    slopes = np.hypot(*np.gradient(np.pad(ink, ((0, 0), (1, 1), (1, 1))), axis=(1, 2)))
    pen = float(np.median(2 * ink.sum((1, 2)) / slopes.sum((1, 2))))
    return box, min(pen, WIDEST_PEN * box)
