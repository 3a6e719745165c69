"""How typical an image is of a class: features of the last convolution, and their subspaces."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from circlemnist.config import Config
from circlemnist.evaluation.known import class_subspaces, embed_with_features, typicality
from circlemnist.models.embedder import build_embedder, embed


@pytest.mark.parametrize(
    ("settings", "width"),
    [
        ({"net": "tiny"}, 288),
        ({"net": "small", "dim": 2, "fold": 16}, 576),
        ({"net": "medium", "loss": "center"}, 864),
        ({"net": "large", "hidden_layers": 1}, 1152),
        ({"net": "article", "dim": 32}, 32),
    ],
    ids=str,
)
def test_features_are_what_the_last_relu_of_the_convolutions_is_given(
    settings: dict[str, object], width: int
) -> None:
    embedder = build_embedder(Config(**settings), 0.13, 0.31).eval()  # type: ignore[arg-type]
    given: list[torch.Tensor] = []
    maps = [each for each in embedder.layers.children() if isinstance(each, nn.Conv2d | nn.ReLU)]
    last = next(
        each
        for before, each in pairwise(maps)
        if before is [one for one in maps if isinstance(one, nn.Conv2d)][-1]
    )
    last.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].clone()))
    images = torch.randint(0, 256, (5, 28, 28), dtype=torch.uint8)
    with torch.no_grad():
        embedder(images[:, None].float() / 255)
    embeddings, found = embed_with_features(embedder.train(), images, views=3)
    assert found.shape == (5, width)
    assert embedder.training
    torch.testing.assert_close(embeddings, embed(embedder, images, views=3))
    assert not last._forward_hooks
    torch.testing.assert_close(found, F.normalize(given[0].flatten(1)), atol=1e-5, rtol=0)


def test_typicality_is_the_cosine_to_the_subspace_of_a_class() -> None:
    """Within it 1, across it 0, at half a right angle √½; of a class without images 0."""
    axes = torch.eye(64)
    rows = torch.cat([F.normalize(torch.randn(50, 8)) @ axes[:8], axes[20:22]])
    bases = class_subspaces(rows, torch.tensor([0] * 50 + [3] * 2))
    assert bases.shape == (10, 8, 64)
    asked = torch.stack([axes[2], axes[40], (axes[2] + axes[40]) / 2**0.5, axes[20]])
    wanted = torch.zeros(4, 10)
    wanted[:, 0] = torch.tensor([1, 0, 0.5**0.5, 0])
    wanted[3, 3] = 1
    torch.testing.assert_close(typicality(asked, bases), wanted, atol=2e-3, rtol=0)
