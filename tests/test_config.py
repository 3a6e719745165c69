"""Settings: defaults, limits, TOML in and out."""

import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circlemnist.config import Config, SettingError, read_settings
from circlemnist.errors import UserError
from tests.conftest import ROOT, assert_one_line_error, invoke


def test_default_toml_spells_out_the_defaults() -> None:
    settings = read_settings(ROOT / "configs" / "default.toml")
    assert Config(**settings) == Config()
    assert set(settings) == set(asdict(Config())) - {"classes", "epochs", "images", "unseen"}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda p: p.stem)
def test_every_config_file_is_valid_and_says_how_to_run_it(path: Path) -> None:
    Config(**read_settings(path))
    assert f"circlemnist train --config {path.stem}\n" in path.read_text("utf-8")


@given(
    st.builds(
        Config,
        gamma=st.floats(1e-3, 1e5),
        m=st.floats(-0.99, 0.99),
        data_dir=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1),
        epochs=st.none() | st.integers(1, 1000),
        augment=st.booleans(),
    )
)
def test_settings_survive_toml(config: Config) -> None:
    assert Config(**tomllib.loads(config.to_toml())) == config


@pytest.mark.parametrize(
    "settings",
    [
        *({"gamma": value} for value in (0.0, -1.0, float("nan"), float("inf"), "80", True)),
        *({"m": value} for value in (1.0, -1.0, float("nan"))),
        *({"dim": value} for value in (0, 64.0, 10**400)),
        *({"classes_per_batch": value} for value in (1, 7, 25)),
        *({name: 0} for name in ("epochs", "lr")),
        *({name: -1} for name in ("seed", "batch_size", "fold")),
        *({"batch_size": 1}, {"momentum": 1.0}, {"pairs": "all"}, {"augment": 1}, {"data_dir": ""}),
        {"classes_per_batch": 5, "batch_size": 5},
        {"hidden_layers": 1, "net": "article"},
        {"images": 60_000, "epochs": 2},
    ],
    ids=str,
)
def test_wrong_values_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError) as refused:
        Config(**settings)
    assert str(refused.value).startswith(f"`{next(iter(settings))}` ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batchsize = 8\n", "'batchsize' in FILE; did you mean 'batch_size'?"),
        ("gamma = 'high'\n", "gamma must be a number, not 'high'"),
        ("[gamma]\nx = 1\n", "gamma must be a number"),
        ("gamma = = 1\n", "FILE is not valid TOML"),
        ("gamma = '\udcff'\n", "FILE is not valid TOML"),
        ("gamma = " + "[" * 10_000 + "]" * 10_000, "FILE is not valid TOML"),
        ("m = 20\n", "m must be ≥ -1 and ≤ 8, not 20"),
        ("loss = 'arcfce'\n", "did you mean 'arcface'?"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "my.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"my\.toml") as caught:
        read_settings(file)
    assert words in str(caught.value).replace(str(file), "FILE")


def test_file_may_need_a_flag_to_fit(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("classes_per_batch = 8\n")
    assert Config(**read_settings(file), batch_size=256).classes_per_batch == 8
    refused = invoke("train", "--config", file, "--dry-run")
    assert_one_line_error(refused, "--classes-per-batch", "must divide the batch size, 250")
    assert invoke("train", "--config", file, "--batch-size", 256, "--dry-run").exit_code == 0


def test_data_set_decides_the_epochs_that_are_left_out() -> None:
    assert Config().resolve("digits", 1437).epochs == 100
    assert Config(epochs=3).resolve("digits", 1437).epochs == 3


def test_length_in_images_is_the_same_work_on_any_data_set() -> None:
    """60,000 images are 240 batches of 250: an epoch of MNIST, 48 of the 5 batches of digits."""
    for dataset, size, epochs in (("mnist", 60_000, 1), ("mnist", 55_000, 1), ("digits", 1437, 48)):
        resolved = Config(images=60_000).resolve(dataset, size)
        assert (resolved.epochs, resolved.images) == (epochs, None)
    assert Config(images=60_000, batch_size=100).resolve("digits", 1437).epochs == 43
    assert Config(images=1).resolve("digits", 1437).epochs == 1


def test_file_is_read_as_windows_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_bytes("loss = 'arcface'\r\nm = 0.4\r\n".encode("utf-8-sig"))
    assert read_settings(file) == {"loss": "arcface", "m": 0.4}


def test_pairs_of_another_loss_are_judged_by_the_margin_of_the_paper() -> None:
    margins = [Config(loss=loss, m=0.4).circle_m for loss in ("circle", "circle-class", "arcface")]
    assert margins == [0.4, 0.4, 0.25]
    assert Config(loss="softmax").circle_m == 0.25
