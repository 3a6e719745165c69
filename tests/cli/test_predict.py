"""`circlemnist predict` and `circlemnist.load`: pictures in, classes out, without the data set."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

import circlemnist
from circlemnist.cli.main import main
from circlemnist.data.pictures import Manner, digits_of
from circlemnist.data.prepare import coarse
from circlemnist.errors import UserError
from circlemnist.evaluation.predict import PredictedDigit, Prediction, Predictor
from circlemnist.models.embedder import embed
from circlemnist.plots.neighbors import draw_box
from circlemnist.plots.style import LIGHT
from tests.cli.conftest import on_terminal
from tests.conftest import assert_one_line_error, invoke
from tests.data.test_pictures import huge_png
from tests.data.test_prepare import pictured, strokes


@pytest.fixture(scope="module")
def run(finished_run: Path) -> Predictor:
    return circlemnist.load(finished_run)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(pictured(strokes()).astype(np.uint8)).save(tmp_path / "good.png")
    return tmp_path / "good.png"


def test_images_measured_are_predicted_as_eval_did(finished_run: Path, run: Predictor) -> None:
    from circlemnist.data.datasets import load_dataset

    images = load_dataset("digits", Path()).test.images
    with np.load(finished_run / "embeddings.npz") as kept:
        found = run.nearest(images, 20)
        np.testing.assert_allclose(run.embed(images).numpy(), kept["embeddings"], atol=1e-5)
        assert (found.indices.numpy()[:, 0] == kept["neighbors"][:, 0]).mean() > 0.99
        predictions = run.predict(images)
        right = np.mean([one.label for one in predictions] == kept["labels"])
    assert right == pytest.approx(run.metrics["20nn"], abs=0.005)
    for far in (None, 0.1):
        bound = run.point(far).threshold
        assert [one.known for one in run.predict(images, far)] == [
            one.typicality > bound for one in predictions
        ]


def test_images_are_given_in_any_form(run: Predictor, picture: Path) -> None:
    (expected,) = run.predict(picture)
    with Image.open(picture) as image:
        pixels = run.pixels(image)
    for given in (str(picture), [picture], pixels, pixels[0].numpy(), pixels[:, None].numpy()):
        assert run.predict(given) == [expected]
    assert run.predict(pixels.float() / 255) == [expected]
    mirrored, swapped = pixels.numpy()[:, ::-1], pixels.numpy().astype(">f4") / 255
    assert run.predict(mirrored[:, ::-1]) == run.predict(swapped) == [expected]
    several = run.predict([pixels[0], pixels.numpy()[0], picture])
    assert [one.similarity for one in several] == pytest.approx([expected.similarity] * 3, abs=1e-5)
    assert run.predict([]) == []
    assert run.nearest([], 3).labels.shape == (0, 3)
    with pytest.raises(UserError, match="each must be one"):
        run.predict([pixels.expand(2, -1, -1)])


def test_pictures_are_as_coarse_as_the_images_of_the_run(run: Predictor, picture: Path) -> None:
    (placed,) = digits_of(picture, Manner("placed", one=True))
    expected = coarse(placed.image, 8)
    assert (expected != placed.image).any()
    ((digit,),) = run.predict_files([picture], 0.5)
    for pixels in (run.pixels(picture)[0], digit.pixels):
        np.testing.assert_array_equal(pixels, expected)
    Image.fromarray(placed.image).save(picture)
    np.testing.assert_array_equal(run.pixels(picture, as_is=True)[0], placed.image)


def test_pictures_of_pillow_are_as_their_files_are(
    run: Predictor, picture: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    with Image.open(picture) as upright:
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        assert run.predict(turned) == run.predict(picture)
    content = picture.read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with Image.open(tmp_path / "cut.png") as cut, pytest.raises(UserError, match="damaged"):
        run.predict(cut)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.zeros(2, 3, 28, 28), "images must be"),
        (np.full((28, 28), 2.0), "images must be"),
        (np.zeros((1, 28, 28), int), "images must be"),
        (np.zeros((28, 28), bool), "images must be"),
        (np.full((28, 28), "x"), "images must be"),
        (b"not decoded", "an image is a path"),
        ([[[0.0] * 28] * 28], "an image is a path"),
        (3, "an image is a path"),
    ],
)
def test_what_is_no_image_is_named_in_one_line(run: Predictor, images: Any, says: str) -> None:
    for call in (run.embed, run.predict):
        with pytest.raises(UserError, match=says) as error:
            call(images)
        assert "\n" not in str(error.value)


def test_thresholds_are_of_training_images_and_accept_as_many_halves_as_they_say(
    run: Predictor,
) -> None:
    """Halves of each sixth training image, by the subspaces of all the others, one by one."""
    from circlemnist.data.datasets import Split, load_dataset
    from circlemnist.data.extra_classes import halves
    from circlemnist.evaluation.known import embed_with_features

    train = load_dataset("digits", Path()).train
    checked = Split(train.images[::6], train.labels[::6])
    bases = run.gallery.subspaces.astype(np.float32)

    def typical(images: torch.Tensor) -> np.ndarray:
        _, features = embed_with_features(run.embedder, images)
        return np.array(
            [max(np.linalg.norm(basis @ one) for basis in bases) for one in features.numpy()]
        )

    known, strange = typical(checked.images), typical(halves(checked, 0, 0).images)
    for far in (0.005, 0.1, 0.2):
        point = run.point(far)
        assert point.far == far
        share = np.mean(strange > point.threshold + 1e-6)
        assert share == pytest.approx(far ** (2 / 3), abs=1.1 / len(strange))
        refused = np.mean(known <= point.threshold + 1e-6)
        assert refused == pytest.approx(point.false_rejects, abs=1.1 / len(known))
    assert run.point(0.03).far == 0.02
    lenient = [point for point in run.points if point.false_rejects <= 0.03]
    assert run.point() == lenient[0]


def test_one_bad_file_does_not_stop_the_others(
    finished_run: Path, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "huge.png").write_bytes(huge_png())
    (tmp_path / "none").mkdir()
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    names = ("bad.png", "huge.png", "none", "blank.png", "good.png", "missing.png")
    result = invoke("predict", finished_run, *(tmp_path / name for name in names))
    assert result.exit_code == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"{picture}: ")
    *errors, verdict = result.stderr.splitlines()
    for name, error in zip((*names[:4], names[5]), errors, strict=True):
        assert error.startswith(f"Error: {tmp_path / name}: ")
    assert verdict.startswith("known: typicality above ")


def test_json_and_picture(
    finished_run: Path, run: Predictor, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "seen.png"
    outputs = ("--outputs", finished_run.parent)
    result = invoke("predict", finished_run.name, picture, "--json", "--out", out, *outputs)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["images"][0]["file"] == str(picture)
    assert report["far"] == run.point().far
    (one,) = report["images"]
    assert one["known"] == (one["typicality"] > report["threshold"])
    with Image.open(out) as drawn:
        assert drawn.width > 400


@pytest.mark.parametrize("known", [True, False])
def test_box_is_about_the_ink_and_in_dashes_where_it_is_unknown(known: bool) -> None:
    prediction = Prediction(3, "3", 20, 20, 0.9, 0.5, known, box=(0.25, 0.5, 0.75, 1))
    empty = torch.empty(0)
    shown = Image.new("RGB", (40, 20)), np.zeros((28, 28), np.uint8), empty, empty, empty
    axes = Figure().add_subplot()
    draw_box(axes, PredictedDigit("a.png", *shown, prediction), LIGHT, 1.6)
    (box,) = axes.patches
    # a pixel is a square about its place
    assert box.get_bbox().bounds == (9.5, 9.5, 20, 10)
    color = LIGHT.same if known else LIGHT.different
    assert (to_hex(box.get_edgecolor()), box.get_linestyle()) == (color, "-" if known else "--")
    assert not box.get_fill()


@pytest.mark.slow  # draws twenty pictures with their neighbours
def test_pictures_are_drawn_in_their_colours_the_first_of_many(
    finished_run: Path, picture: Path, tmp_path: Path
) -> None:
    with Image.open(picture) as image:
        red = Image.merge("RGB", (Image.new("L", image.size, 255), image, image))
    red.save(tmp_path / "red.png")
    out = tmp_path / "seen.png"
    result = invoke("predict", finished_run, *[tmp_path / "red.png"] * 21, "--out", out)
    assert result.stderr.splitlines()[1:] == [f"picture: {out}, the first 20 of 21"]
    assert len(result.stdout.splitlines()) == 21
    with Image.open(out) as drawn:
        r, g, b = np.asarray(drawn.convert("RGB"), int).transpose(2, 0, 1)
    assert ((r > 200) & (g < 100) & (b < 100)).sum() > 1000


def test_digits_of_a_number_are_read(
    finished_run: Path, run: Predictor, picture: Path, tmp_path: Path
) -> None:
    """Each as if it were alone, from the left; but for who says that there is only one."""
    number, out = tmp_path / "number.png", tmp_path / "seen.png"
    with Image.open(picture) as image:
        wanted = [
            run.predict(image)[0],
            run.predict(image.transpose(Image.Transpose.ROTATE_180))[0],
        ]
        both = Image.new("L", (2 * image.width, image.height))
        both.paste(image)
        both.paste(image.transpose(Image.Transpose.ROTATE_180), (image.width, 0))
        both.save(number)
        found = run.read(both)
    assert [one.label for one in found] == [one.label for one in wanted]
    for one, other, left in zip(found, wanted, (0.15, 0.725), strict=True):
        assert one.typicality == pytest.approx(other.typicality, abs=0.02)
        assert one.box is not None
        assert one.box == pytest.approx(
            (left, one.box[1], left + 0.125, one.box[1] + 0.5), abs=0.02
        )
    assert run.read(str(number)) == found
    (only,) = run.read(number, one=True)
    assert only.label == run.predict(number)[0].label
    result = invoke("predict", finished_run, number, "--out", out)
    said = " ".join(one.name if one.known else "?" for one in found)
    first, *lines = result.stdout.splitlines()
    assert first == f"{number}: 2 digits: {said}"
    assert [line.split(":")[0] for line in lines] == [f"{number}, digit {n}" for n in (1, 2)]
    rows = json.loads(invoke("predict", finished_run, number, "--json").stdout)["images"]
    assert [(row["file"], row["label"], tuple(row["box"])) for row in rows] == [
        (str(number), one.label, one.box) for one in found
    ]
    assert len(invoke("predict", finished_run, number, "--one").stdout.splitlines()) == 1
    assert out.exists()


def test_standard_input_that_is_closed_is_named(
    run: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", None)
        assert list(run.predict_files([Path("-")], 0.5)) == ["-: standard input is closed"]


def test_test_time_augmentation_is_that_of_the_run(finished_run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "copy")
    text = (copy / "config.toml").read_text()
    assert "views = 1" in text
    (copy / "config.toml").write_text(text.replace("views = 1", "views = 5"))
    run, images = circlemnist.load(copy), torch.rand(3, 28, 28)
    pixels = run.pixels(images)
    expected = embed(run.embedder, pixels, 5)
    torch.testing.assert_close(run.embed(images), expected)
    nearest = (expected @ torch.from_numpy(run.gallery.embeddings).T).max(1).values
    found = [digit.similarity for digit in run.predict(images)]
    assert found == pytest.approx(nearest.tolist(), abs=1e-5)
    plain = [digit.similarity for digit in circlemnist.load(finished_run).predict(images)]
    assert found != pytest.approx(plain, abs=1e-3)


def test_standard_input_and_flags(finished_run: Path, picture: Path, tmp_path: Path) -> None:
    arguments = ["predict", str(finished_run), "-"]
    given = CliRunner().invoke(main, arguments, input=picture.read_bytes())
    of_file = invoke("predict", finished_run, picture)
    assert given.stdout.removeprefix("-") == of_file.stdout.removeprefix(str(picture))
    strict, lenient = (
        json.loads(invoke("predict", finished_run, picture, "--json", "--far", far).stdout)
        for far in (0.005, 0.5)
    )
    assert strict["threshold"] > lenient["threshold"]
    rounded = invoke("predict", finished_run, picture, "--far", 0.03).stderr
    assert "2 % false accepts, the next rate below 0.03" in rounded
    assert_one_line_error(invoke("predict", finished_run, picture, "--far", 0.001), "≥ 0.005")
    assert_one_line_error(invoke("predict", finished_run, picture, "--far", 1), "--far")
    result = invoke("predict", finished_run, picture, "--as-is")
    assert "as it is an image has 28 × 28" in result.stderr
    assert result.exit_code == 1
    kin = shutil.copytree(finished_run, tmp_path / "kin")
    report = json.loads((kin / "eval.json").read_text())
    (kin / "eval.json").write_text(json.dumps({**report, "dataset": "fashion-mnist"}))
    assert "as it is an image has 28 × 28" in invoke("predict", kin, picture).stderr
    assert invoke("predict", kin, picture, "--prepare").exit_code == 0


def test_lines_on_a_terminal_are_not_written_into_the_bar(
    finished_run: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = on_terminal(200, monkeypatch, "predict", str(finished_run), *[str(picture)] * 3)
    lines = [line.rsplit("\r", 1)[-1] for line in written.splitlines()]
    assert sum(line.startswith(f"{picture}: ") for line in lines) == 3, written


def test_run_alone_and_run_without_gallery_say_what_to_do(
    finished_run: Path, picture: Path, tmp_path: Path
) -> None:
    assert_one_line_error(invoke("predict", finished_run), "give it pictures")
    older = shutil.copytree(finished_run, tmp_path / "older")
    (older / "gallery.npz").unlink()
    assert_one_line_error(invoke("predict", older, picture), "circlemnist eval")
    with np.load(finished_run / "gallery.npz") as kept:
        np.savez(older / "gallery.npz", **{k: v for k, v in kept.items() if k != "subspaces"})
    assert_one_line_error(invoke("predict", older, picture), "older version", "circlemnist eval")
    (older / "gallery.npz").write_bytes(b"damaged")
    assert_one_line_error(invoke("predict", older, picture), "damaged", "circlemnist eval")


def test_neither_the_data_set_nor_embeddings_of_the_test_images_are_needed(
    finished_run: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What travels is small: settings, weights, report and gallery."""
    for module in ("data.datasets", "evaluation.evaluate"):
        monkeypatch.setattr(f"circlemnist.{module}.load_dataset", None)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("config.toml", "last.pt", "eval.json", "gallery.npz"):
        shutil.copy(finished_run / name, moved)
    found, wanted = (invoke("predict", run, picture) for run in (moved, finished_run))
    assert found.exit_code == 0, found.output
    assert found.stdout == wanted.stdout
    (moved / "eval.json").write_text("{}")
    assert_one_line_error(invoke("predict", moved, picture), "eval.json is damaged")


def test_what_is_not_of_the_checkpoint_is_refused(
    finished_run: Path, picture: Path, tmp_path: Path
) -> None:
    older = shutil.copytree(finished_run, tmp_path / "older")
    report = json.loads((older / "eval.json").read_text())
    del report["known"]
    (older / "eval.json").write_text(json.dumps(report))
    assert_one_line_error(invoke("predict", older, picture), "no thresholds", "circlemnist eval")
    state = torch.load(older / "last.pt", weights_only=True)
    torch.save({**state, "step": 0}, older / "last.pt")
    assert_one_line_error(invoke("predict", older, picture), "another checkpoint")


def test_name_of_no_picture_is_refused_ahead_of_predicting(
    finished_run: Path, picture: Path, tmp_path: Path
) -> None:
    result = invoke("predict", finished_run, picture, "--out", tmp_path / "seen.txt")
    assert_one_line_error(result, "seen.txt", ".png, .svg, .pdf")
    assert result.stdout == ""


def test_letters_that_the_font_lacks_are_no_warning(
    finished_run: Path, picture: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "数字")
    assert invoke("predict", run, picture, "--out", tmp_path / "a.png").exit_code == 0
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_colours_of_no_picture_are_refused(finished_run: Path, picture: Path) -> None:
    result = invoke("predict", finished_run, picture, "--theme", "dark")
    assert_one_line_error(result, "--theme has no effect with no --out")
