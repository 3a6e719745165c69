"""What travels with an exported network is of its run."""

import json

import pytest

from circlemnist.config import Config
from circlemnist.evaluation.export import facts


def of(config: Config, pixels: str = "uint8") -> dict[str, str]:
    return facts("mine", config, "ab" * 32, pixels)


def test_facts_say_how_to_use_the_network() -> None:
    found = of(Config(dataset="fashion-mnist", loss="center", dim=7, views=5), "float32")
    assert (found["run"], found["checkpoint"]) == ("mine", "ab" * 32)
    assert found["similarity"] == "distance"
    assert found["embeddings"] == "(N, 7) float32, of any length"
    assert found["images"] == "(N, 28, 28) float32, 0 the background and 1 full ink"
    assert json.loads(found["classes"])[8] == "bag"
    circle = of(Config(dataset="digits"))
    assert circle["similarity"] == "cosine"
    assert circle["embeddings"] == "(N, 64) float32, of length 1"
    assert circle["images"] == "(N, 28, 28) uint8, 0 the background and 255 full ink"


def test_settings_are_all_but_those_of_the_machine() -> None:
    config = Config(dataset="digits", data_dir="/home/me", unseen="0,4", epochs=3)
    settings = json.loads(of(config)["settings"])
    assert Config(**settings, data_dir="/home/me") == config
    assert "/home/me" not in json.dumps(of(config))
    assert set(Config.__dataclass_fields__) - set(settings) == {"data_dir", "device"}


@pytest.mark.parametrize("dataset", ["auto", "mnist", "digits"])
def test_classes_of_digits_are_their_names(dataset: str) -> None:
    assert json.loads(of(Config(dataset=dataset))["classes"]) == list("0123456789")
