"""The network of the page, in a browser, against torch."""

import base64
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from circlemnist.config import Config
from circlemnist.evaluation.known import class_subspaces, embed_with_features, typicality
from circlemnist.explorer.pad import plain_network
from circlemnist.models.embedder import Embedder, build_embedder
from tests.explorer.browser import Page

pytestmark = pytest.mark.slow

IMAGES = 20


def settled(**settings: Any) -> Embedder:
    """An embedder whose BatchNorms have seen images, with scales and shifts of both signs."""
    embedder = build_embedder(Config(**settings), 0.13, 0.31)
    for module in embedder.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    with torch.no_grad():
        embedder(torch.rand(64, 1, 28, 28))
    return embedder.eval()


def run_in(page: Page, code: str, *args: Any) -> Any:
    """What a function of the page's own script returns, on a page that is empty."""
    page.driver.get("data:text/html,")
    script = (files("circlemnist.explorer") / "network.js").read_text("utf-8")
    return page.driver.execute_script(f"{script};{code}", *args)


def in_base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


@pytest.mark.parametrize(
    "settings",
    [
        {"net": "tiny"},
        {"net": "small", "dim": 3, "hidden_layers": 2},
        {"net": "medium", "last_norm": False, "dim": 1},
        {"net": "large", "loss": "center"},
        {"net": "article", "dim": 2, "loss": "center"},
        {"net": "small", "dim": 2, "fold": 16, "hidden_layers": 1},
        {"net": "small", "dim": 3, "fold": 7, "last_norm": False, "loss": "center"},
    ],
    ids=str,
)
def test_network_in_the_page_is_that_of_torch(settings: dict[str, Any], page: Page) -> None:
    embedder = settled(**settings)
    images = torch.randint(0, 256, (IMAGES, 28, 28)) * (torch.rand(IMAGES, 28, 28) > 0.7)
    images = images.to(torch.uint8)
    images[0] = 0
    embeddings, features = embed_with_features(embedder, images)
    bases = class_subspaces(features[:15] + 0.01, torch.arange(15) % 8, 10)  # none of two classes
    plain = plain_network(embedder)
    found = run_in(
        page,
        """const embed = network.build(arguments[0]), subspaces = network.halves(arguments[1]);
        return arguments[2].map((image) => {
          const { embedding, features } = embed(Float32Array.from(image, (pixel) => pixel / 255));
          return [[...embedding], [...features], network.typicality(features, subspaces, 10)];
        });""",
        plain | {"numbers": in_base64(plain["numbers"])},
        in_base64(bases),
        images.flatten(1).tolist(),
    )
    scale = max(1.0, float(embeddings.abs().max()))  # off the sphere they may be long
    expected = embeddings / scale, features, typicality(features, bases).max(1).values
    in_page = [np.array(numbers, float) for numbers in zip(*found, strict=True)]
    in_page[0] /= scale
    for numbers, tensor in zip(in_page, expected, strict=True):
        np.testing.assert_allclose(numbers, tensor, atol=1e-5)


def test_numbers_of_16_bits_are_read_as_they_are_written(page: Page) -> None:
    random = np.random.default_rng(0)
    numbers = random.normal(size=200) * 10 ** random.uniform(-8, 4, 200)
    halves = np.append(numbers, [0, -0.0, 6e-8, 65504, -1, 1 / 3]).astype("<f2")
    found = run_in(page, "return [...network.halves(arguments[0])]", in_base64(halves))
    np.testing.assert_array_equal(found, halves.astype(float))
