"""The embedders: unit vectors, spread from the start."""

import pytest
import torch
from torch import nn

from circlemnist.config import NETS, Config
from circlemnist.models.embedder import BLOCK, Embedder, build_embedder, embed


def built(net, dim, mean=0.13, std=0.31, **settings):
    return build_embedder(Config(net=net, dim=dim, **settings), mean, std)


def size(network):
    return sum(p.numel() for p in network.parameters())


def test_article_network_is_that_of_the_article():
    """A convolution, the largest of four, no negative number: three times."""
    kinds = [type(layer) for layer in built("article", 32).layers]
    assert kinds == [nn.Conv2d, nn.MaxPool2d, nn.ReLU] * 3 + [nn.Flatten]


@pytest.mark.parametrize(
    ("net", "dim", "parameters"),
    [
        ("article", 32, 8064),
        ("tiny", 64, 24_504),
        ("small", 64, 60_528),
        ("medium", 64, 115_984),
        ("large", 64, 330_640),
        *((net, 2, None) for net in NETS),
    ],
)
def test_networks_have_the_size_that_is_written_and_give_unit_vectors(net, dim, parameters):
    """Channels come last in memory, which makes a convolution fast; one channel has no order."""
    network, images = built(net, dim), torch.rand(16, 1, 28, 28)
    assert parameters in (None, size(network))
    assert network.layers[0](images).is_contiguous(memory_format=torch.channels_last)
    embeddings = network(images)
    assert embeddings.shape == (16, dim)
    norms = embeddings.norm(dim=1)
    torch.testing.assert_close(norms[norms > 0], torch.ones(int((norms > 0).sum())))


def test_pixels_are_standardised_and_kept_with_the_weights():
    """With biases: without them, a network does not notice a scale."""
    layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 8))
    embedder = Embedder(layers, mean=0.25, std=0.5)
    assert {"mean", "std"} <= set(embedder.state_dict())
    images = torch.rand(4, 1, 28, 28)
    wanted = nn.functional.normalize(layers((images - 0.25) / 0.5))
    torch.testing.assert_close(embedder(images), wanted)


def test_pixels_are_taken_as_they_are_by_default_and_by_the_article_always():
    for embedder in (built("article", 32, 0.25, 0.5), build_embedder(Config(net="small"))):
        assert (embedder.mean, embedder.std) == (0, 1)


def test_hidden_layers_come_before_the_embedding_and_last_norm_can_be_left_out():
    assert isinstance(built("small", 8, last_norm=False).layers[-1], nn.Linear)
    plain, deeper = built("small", 2), built("small", 2, hidden_layers=2)
    width = 64 * 3 * 3
    more = width * 128 + 128 * 128 + 128 * 2 + 4 * 128 - width * 2
    assert size(deeper) - size(plain) == more
    assert deeper(torch.rand(4, 1, 28, 28)).shape == (4, 2)


def test_folded_embedding_has_two_stages():
    """The first is that of a network of as many dimensions."""
    embedder = built("small", 2, hidden_layers=1, fold=16)
    assert size(embedder.layers) == size(built("small", 16))
    first, last = embedder.stages(torch.rand(8, 1, 28, 28))
    assert first.shape == (8, 16)
    assert last.shape == (8, 2)
    for stage in (first, last):
        torch.testing.assert_close(stage.norm(dim=1), torch.ones(8))


def test_first_embeddings_start_spread_and_a_head_takes_numbers_of_mean_square_1():
    embedder = built("small", 2, fold=64, last_norm=False)
    inputs = []
    embedder.head.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    images = torch.rand(64, 1, 28, 28)
    for first in (embedder.stages(images)[0], built("small", 64)(images)):
        assert abs((first @ first.T).mean().item()) < 0.1
    torch.testing.assert_close(inputs[0].square().mean(1), torch.ones(64))


@pytest.mark.parametrize("training", [True, False])
def test_embedding_an_image_leaves_the_network_and_asks_no_others(training):
    embedder = built("small", 8).train(training)
    before = {name: value.clone() for name, value in embedder.state_dict().items()}
    images = torch.randint(0, 256, (601, 28, 28), dtype=torch.uint8)
    embeddings = embed(embedder, images)
    assert embedder.training == training
    torch.testing.assert_close(embedder.state_dict(), before, rtol=0, atol=0)
    for place in (0, BLOCK - 1, BLOCK, 499, 500, 600):
        alone = embed(embedder, images[place : place + 1])
        torch.testing.assert_close(embeddings[place : place + 1], alone)


def test_views_are_the_image_and_its_shifts_by_a_pixel():
    embedder = built("small", 8).eval()
    images = torch.zeros(3, 28, 28, dtype=torch.uint8)
    images[:, 5:20, 8:22] = torch.randint(0, 256, (3, 15, 14), dtype=torch.uint8)
    shifts = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    shifted = torch.stack([embed(embedder, images.roll(shift, (1, 2))) for shift in shifts])
    torch.testing.assert_close(shifted[0], embedder(images[:, None].float() / 255))
    for views in (3, 5):
        mean = nn.functional.normalize(shifted[:views].mean(0))
        torch.testing.assert_close(embed(embedder, images, views), mean)
