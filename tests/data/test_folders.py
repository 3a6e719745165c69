"""Folders of pictures: read as torchvision's ImageFolder reads them, split, stored, refused."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from circlemnist.config import Config
from circlemnist.data import folders
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.errors import UserError

ANIMALS = {"cat": 10, "dog": 20, "eel": 4}


def write(root: Path, classes: Mapping[str, int]) -> Path:
    """Write light pictures of 28 × 28 on black, each of its own, whose rim says their class."""
    random = np.random.default_rng(0)
    for label, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.integers(0, 256, (28, 28), np.uint8)
            pixels[[0, -1]] = pixels[:, [0, -1]] = label
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def load(root: Path, **settings: bool | str) -> tuple[Dataset, list[str]]:
    config, said = Config(dataset=f"{root}/", **settings), list[str]()
    data = root.parent / "data"
    return load_dataset(config.dataset, data, quiet=True, say=said.append, config=config), said


def rows(*images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for part in images for image in part}


def test_classes_and_images_are_those_of_image_folder(tmp_path: Path) -> None:
    truth = ImageFolder(str(write(tmp_path / "animals", ANIMALS)))
    dataset, said = load(tmp_path / "animals")
    assert (list(dataset.classes), said) == (truth.classes, [])
    assert dataset.name == str(tmp_path / "animals")
    for split in (dataset.train, dataset.test):
        assert split.labels.tolist() == split.images[:, 0, 0].tolist()
    wanted = {np.asarray(Image.open(file)).tobytes() for file, _ in truth.samples}
    assert rows(dataset.train.images, dataset.test.images) == wanted


def test_a_fifth_of_each_class_is_for_tests_whatever_other_classes_there_are(
    tmp_path: Path,
) -> None:
    whole, _ = load(write(tmp_path / "animals", ANIMALS))
    assert torch.bincount(whole.test.labels).tolist() == [2, 4, 2]
    assert torch.bincount(whole.train.labels).tolist() == [8, 16, 2]
    fewer, _ = load(tmp_path / "animals", classes="dog,eel")
    assert fewer.classes == ("dog", "eel")
    assert rows(fewer.test.images) < rows(whole.test.images)
    labels = whole.train.labels
    assert (labels.diff() != 0).float().mean() > 0.3  # shuffled, so that the last are of all


def test_pictures_that_number_a_mixed_data_set_have_its_order(tmp_path: Path) -> None:
    """So MNIST, written out, trains to the same weights."""
    digits = load_dataset("digits", tmp_path)
    for part, split in (("train", digits.train), ("test", digits.test)):
        pairs = zip(split.images.numpy(), split.labels.tolist(), strict=True)
        for number, (image, label) in enumerate(pairs):
            (tmp_path / "written" / part / str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / f"written/{part}/{label}/{number}.png")
    assert load(tmp_path / "written")[0].checksum() == digits.checksum()


def test_picture_is_fitted_and_turned_round_where_its_rim_is_light(tmp_path: Path) -> None:
    paper = Image.new("RGB", (112, 56), (240, 240, 240))
    paper.paste((0, 0, 0), (40, 14, 72, 42))
    for name in ("a", "b"):
        write(tmp_path / "it", {name: 4})
        paper.save(tmp_path / "it" / name / "0.png")
    dataset, _ = load(tmp_path / "it", skip_unreadable=True)
    images = torch.cat([dataset.train.images, dataset.test.images])
    (image, twin) = images[images[:, 0, 0] == 15]
    assert torch.equal(image, twin)
    assert (image[:7] == 15).all()  # the rest of the square has the median of the rim
    assert (image[12:16, 11:17] == 255).all()
    assert (image[12:16, :9] == 15).all()


def test_images_are_stored_until_a_picture_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = load(write(tmp_path / "animals", ANIMALS))
    (stored,) = (tmp_path / "data").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(folders, "read_picture", None)  # nothing is read again
        assert load(tmp_path / "animals")[0].checksum() == first.checksum()
    Image.new("L", (28, 28), 9).save(tmp_path / "animals/cat/0.png")
    with pytest.raises(UserError, match=r"cat/0.png: there is nothing on it"):
        load(tmp_path / "animals")
    (tmp_path / "animals/cat/0.png").unlink()
    second, _ = load(tmp_path / "animals")
    assert len(second.train) + len(second.test) == 33
    stored.write_bytes(stored.read_bytes()[:-100])
    assert load(tmp_path / "animals")[0].checksum() == second.checksum()


def damaged(root: Path) -> None:
    """Pictures with bytes changed or cut off, and what is no picture, in the class cat."""
    random = np.random.default_rng(1)
    content = (root / "cat/0.png").read_bytes()
    for number in range(60):
        bad = bytearray(content[: random.integers(len(content))] if number % 2 else content)
        for place in random.integers(0, max(len(bad), 1), 5):
            bad[place : place + 1] = bytes([random.integers(256)])
        (root / f"cat/bad{number}.png").write_bytes(bad)
    (root / "cat/line\nend.png").write_bytes(b"GIF89a")
    (root / "cat/nowhere.png").symlink_to("gone.png")
    (root / "cat/circle.png").symlink_to("circle.png")


def test_unreadable_pictures_are_named_or_counted(tmp_path: Path) -> None:
    damaged(write(tmp_path / "animals", ANIMALS))
    with pytest.raises(UserError, match=r"animals/cat/.*`skip_unreadable` leaves"):
        load(tmp_path / "animals")
    assert not (tmp_path / "data").exists()
    for _ in range(2):  # the second time from the file
        dataset, said = load(tmp_path / "animals", skip_unreadable=True)
        left_out = 97 - len(dataset.train) - len(dataset.test)
        assert left_out >= 33
        assert said == [f"{left_out} of 97 pictures cannot be read, and are left out"]


def nested(root: Path) -> None:
    write(root / "cat", {"wild": 4})


def twins(root: Path) -> None:
    write(root, {"Cat": 4})


def circle(root: Path) -> None:
    (root / "cat/again").symlink_to(root)


def link_to_itself(root: Path) -> None:
    (root / "fox").symlink_to("fox")


def part(root: Path) -> None:
    write(root / "train", {"cat": 4, "dog": 4, "eel": 4})
    write(root / "test", {"cat": 4, "eel": 4})


def parts(root: Path) -> None:
    for name in ("train", "test"):
        write(root / name, {"cat": 4, "dog": 4, "eel": 4})


BAD: dict[str, tuple[Callable[[Path], object], dict[str, int], str]] = {
    "missing": (lambda root: root.rmdir(), {}, "cannot read .*: No such file.* `dataset` names"),
    "empty": (lambda root: None, {}, "has 0 subfolders to train on"),
    "one class": (lambda root: None, {"cat": 4}, "has 1 subfolders to train on"),
    "three pictures": (lambda root: None, {"cat": 3, "dog": 4}, "cat has 3 pictures that .* 4"),
    "empty class": (lambda root: None, {"cat": 0, "dog": 4}, "cat has no pictures"),
    "nested": (nested, ANIMALS, "cat/wild is a folder in a class"),
    "circle": (circle, ANIMALS, "cat/again is a folder in a class"),
    "link to itself": (link_to_itself, ANIMALS, "cannot read .*fox: Too many levels"),
    "twins": (twins, ANIMALS, "Cat and cat differ by case alone|cat and Cat differ by case alone"),
    "line end": (lambda root: None, {"cat": 4, "d\nog": 4}, r"class 'd\\nog': no name may have"),
    "comma": (lambda root: None, {"cat": 4, "d,og": 4}, "class 'd,og': no name may have"),
    "test lacks a class": (part, {}, "test lacks the class dog"),
    "beside the parts": (parts, {"val": 4}, "val is beside train/ and test/"),
}


@pytest.mark.parametrize("kind", BAD)
def test_folder_that_is_no_data_set_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    spoil, classes, says = BAD[kind]
    (tmp_path / "it").mkdir()
    spoil(write(tmp_path / "it", classes))
    with pytest.raises(UserError, match=says) as caught:
        load(tmp_path / "it")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_folder_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "animals", ANIMALS)
    read = folders.read_picture

    def slowly(path: Path) -> Image.Image:
        (tmp_path / "animals/eel/new.png").touch()
        return read(path)

    monkeypatch.setattr(folders, "read_picture", slowly)
    with pytest.raises(UserError, match="changed while it was read"):
        load(tmp_path / "animals")
