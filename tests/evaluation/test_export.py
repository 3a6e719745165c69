"""Networks as files: each gives the embeddings of `embed`, whatever the network and the batch."""

import io
import json
import math
from itertools import cycle

import onnx
import onnxruntime
import pytest
import torch

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.evaluation.export import (
    WholeEmbedder,
    facts,
    largest_difference,
    onnx_model,
    torch_program,
)
from circlemnist.models.embedder import build_embedder, embed

FACTS = {"run": "a", "classes": '["0", "1"]'}
NETWORKS = {
    "tiny": Config(net="tiny"),
    "small": Config(net="small", last_norm=False),
    "medium, 5 views": Config(net="medium", views=5),
    "large": Config(net="large", dim=3),
    "article": Config(net="article", dim=32),
    "hidden": Config(net="tiny", hidden_layers=2, dim=2),
    "folded": Config(net="tiny", hidden_layers=1, fold=16, dim=2),
    "off the sphere": Config(net="tiny", loss="center", views=2),
}


def trained(name):
    """An embedder whose running statistics are not those that it began with."""
    embedder = build_embedder(NETWORKS[name], 0.13, 0.31)
    for _ in range(3):
        embedder(torch.rand(20, 1, 28, 28))
    return embedder


def digits(count):
    return torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8)


def loaded_program(content):
    with torch.no_grad():
        return torch.export.load(io.BytesIO(content)).module()


def loaded_onnx(content):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def assert_same(run, embedder, views, pixels):
    """Check the embeddings of batches of any size, none and one among them."""
    for count in (0, 1, 2, 5, 130):
        images = digits(count)
        with torch.inference_mode():
            embeddings = run(images if pixels == "uint8" else images.float() / 255)
        wanted = embed(embedder, images, views)
        scale = max(1.0, float(wanted.abs().max())) if count else 1.0
        assert embeddings.dtype == torch.float32
        torch.testing.assert_close(embeddings, wanted, rtol=0, atol=1e-5 * scale)


def test_program_of_torch_gives_the_embeddings_and_carries_the_facts():
    embedder = trained("tiny")
    content, difference = torch_program(WholeEmbedder(embedder, 2, "uint8"), FACTS)
    assert 0 <= difference <= 1e-5
    assert_same(loaded_program(content), embedder, 2, "uint8")
    files = {"circlemnist.json": ""}
    torch.export.load(io.BytesIO(content), extra_files=files)
    assert json.loads(files["circlemnist.json"]) == FACTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pixels"), [*zip(NETWORKS, cycle(["uint8", "float32"]), strict=False)]
)
@pytest.mark.parametrize(
    ("make", "load"), [(torch_program, loaded_program), (onnx_model, loaded_onnx)]
)
def test_file_of_every_network_gives_its_embeddings(make, load, name, pixels):
    embedder, views = trained(name), NETWORKS[name].views
    content, difference = make(WholeEmbedder(embedder, views, pixels), FACTS)
    assert 0 <= difference <= 1e-5
    assert_same(load(content), embedder, views, pixels)


@pytest.mark.slow
def test_onnx_model_names_what_goes_in_and_out_and_no_file_of_its_maker():
    network = WholeEmbedder(trained("folded"), 1, "uint8")
    content, _ = onnx_model(network, FACTS)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key: entry.value for entry in model.metadata_props} == FACTS
    values = (*model.graph.input, *model.graph.output)
    assert [value.name for value in values] == ["images", "embeddings"]
    shapes = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in values
    ]
    assert shapes == [["batch", 28, 28], ["batch", 2]]
    assert b".py" not in content
    assert content == onnx_model(network, FACTS)[0]


def test_exporting_leaves_the_network_as_it_is():
    embedder = trained("tiny").train()
    before = {name: value.clone() for name, value in embedder.state_dict().items()}
    network = WholeEmbedder(embedder, 1, "uint8")
    network(digits(3))
    network.embedder.mean += 1
    assert embedder.training
    torch.testing.assert_close(embedder.state_dict(), before, rtol=0, atol=0)


def test_difference_is_the_largest_of_a_number_and_relative_off_the_sphere():
    images = torch.zeros(2, 28, 28)
    near = torch.tensor([[0.6, 0.8], [1.0, 0.0]])
    network = torch.nn.Module()
    for scale in (1.0, 40.0):
        network.forward = lambda _, scale=scale: scale * near
        off = scale * near + torch.tensor([[0.0, -0.25], [0.125, 0.0]])
        difference = largest_difference(network, lambda _, off=off: off, images)
        assert math.isclose(difference, 0.25 / scale, rel_tol=1e-6)
    assert math.isnan(largest_difference(network, lambda _: near * torch.nan, images))


@pytest.mark.parametrize("fault", [2e-5, math.nan])
def test_file_that_gives_other_embeddings_is_not_given_away(fault, monkeypatch):
    """Where one number of one image is off."""
    network = WholeEmbedder(trained("tiny"), 1, "uint8")

    class Loaded:
        def module(self):
            return self.run

        def run(self, images):
            embeddings = network(images).clone()
            embeddings[7, 3] += fault
            return embeddings

    monkeypatch.setattr(torch.export, "load", lambda _: Loaded())
    with pytest.raises(UserError, match="other embeddings than torch") as caught:
        torch_program(network, FACTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "loss", "pixels", "words"),
    [
        ("fashion-mnist", "center", "float32", ("distance", "any length", "1 full ink", "bag")),
        ("digits", "circle", "uint8", ("cosine", "length 1", "255 full ink", "8")),
    ],
)
def test_facts_say_how_to_use_the_network(dataset, loss, pixels, words):
    config = Config(dataset=dataset, loss=loss, dim=7, data_dir="/home/me", unseen="0,4", epochs=3)
    similarity, length, most, eighth = words
    said = facts("mine", config, "ab" * 32, pixels)
    assert (said["run"], said["checkpoint"]) == ("mine", "ab" * 32)
    assert said["similarity"] == similarity
    assert said["embeddings"] == f"(N, 7) float32, of {length}"
    assert said["images"] == f"(N, 28, 28) {pixels}, 0 the background and {most}"
    assert json.loads(said["classes"])[8] == eighth
    settings = json.loads(said["settings"])
    assert Config(**settings, data_dir="/home/me") == config
    assert "/home/me" not in json.dumps(said)
    assert set(Config.__dataclass_fields__) - set(settings) == {"data_dir", "device"}
