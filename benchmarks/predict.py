"""A trained run on pictures that are no test images.

    circlemnist train --holdout 5000 --name holdout
    python -m benchmarks predict outputs/holdout       # a minute; docs/predict.md

Prints the accuracy by 20-NN of digits, and what share of other pictures is rejected, or blank, at
the threshold that rejects 1 % of the rendered test images, and at the default.
"""

import string
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

import circlemnist
from benchmarks.shared import data_dir_option
from circlemnist.data.datasets import load_dataset
from circlemnist.data.prepare import prepare
from circlemnist.errors import UserError
from circlemnist.evaluation.predict import Prediction, Predictor

SIDE, PAGES = 200, 500
LOOK_ALIKES = "BDGIJLOQSTZabgiloqstyz"  # letters that look like a digit, and are left out
FONTS = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")
Array = NDArray[Any]


def photograph(image: Array, random: np.random.Generator) -> Array:
    """Return an image as dark ink on light paper: shifted, scaled, in noise and uneven light."""
    size = int(random.uniform(0.45, 0.95) * SIDE)
    large = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    ink = np.zeros((SIDE, SIDE))
    left, top = random.integers(0, SIDE - size + 1, 2)
    ink[top : top + size, left : left + size] = np.asarray(large) / 255
    return lit(ink, random)


def lit(ink: Array, random: np.random.Generator) -> Array:
    """Return dark ink (200, 200) in 0-1 on light paper, in noise and uneven light."""
    paper, dark = random.uniform(190, 245), random.uniform(10, 80)
    angle, line = random.uniform(0, 2 * np.pi), np.linspace(-1, 1, SIDE)
    slope = (np.cos(angle) * line[:, None] + np.sin(angle) * line) / 2**0.5
    rim = (line[:, None] ** 2 + line**2) / 2
    light = 1 + random.uniform(0, 0.3) * slope - random.uniform(0, 0.2) * rim
    noise = random.normal(0, random.uniform(0, 12), ink.shape)
    picture = np.round((paper + (dark - paper) * ink) * light + noise)
    return np.clip(picture, 0, 255).astype(np.uint8)


def drawn(image: Array) -> Array:
    """Return one of scikit-learn's digits, 8 × 8 in 0-16, as dark ink on white, 200 × 200."""
    small = Image.fromarray((image / 16 * 255).astype(np.uint8))
    large = np.asarray(small.resize((160, 160), Image.Resampling.BICUBIC))
    return np.pad(255 - large, 20, constant_values=255)


def letters() -> list[Array]:
    """Return each letter but the look-alikes in each font, black on white."""
    pictures = []
    for family, weight, style in product(FONTS, ("normal", "bold"), ("normal", "oblique")):
        properties = font_manager.FontProperties(family=family, weight=weight, style=style)
        font = ImageFont.truetype(font_manager.findfont(properties), 120)
        for letter in sorted(set(string.ascii_letters) - set(LOOK_ALIKES)):
            page = Image.new("L", (SIDE, SIDE), 255)
            middle = (SIDE / 2, SIDE / 2)
            ImageDraw.Draw(page).text(middle, letter, fill=0, font=font, anchor="mm")
            pictures.append(np.asarray(page))
    return pictures


def scribbles(random: np.random.Generator) -> list[Array]:
    """Return pages of a pen that wandered to 12 random places."""
    pictures = []
    for _ in range(PAGES):
        page = Image.new("L", (SIDE, SIDE), 0)
        points = [tuple(point) for point in random.uniform(30, SIDE - 30, (12, 2))]
        ImageDraw.Draw(page).line(points, fill=255, width=int(random.integers(5, 12)))
        pictures.append(lit(np.asarray(page) / 255, random))
    return pictures


def blanks(random: np.random.Generator, count: int) -> list[Array]:
    return [lit(np.zeros((SIDE, SIDE)), random) for _ in range(count)]


def predictions(run: Predictor, pictures: Iterable[Array]) -> list[Prediction | None]:
    """Of each picture; None where nothing is on it."""
    images: dict[int, Array] = {}
    for count, picture in enumerate(pictures, 1):
        with suppress(UserError):
            images[count - 1] = prepare(picture)
    answers = run.predict(torch.tensor(np.stack([*images.values()]))) if images else []
    by_index = dict(zip(images, answers, strict=True))
    return [by_index.get(index) for index in range(count)]


@click.command("predict")
@click.argument("run")
@data_dir_option
def predict_command(run: str, data_dir: Path) -> None:
    """Accuracy of a run on pictures, and what it calls unknown."""
    predictor = circlemnist.load(run)
    test, digits = load_dataset("mnist", data_dir).test, load_digits()
    random = np.random.default_rng(0)

    def print_accuracy(name: str, answers: Sequence[Prediction | None], labels: Array) -> None:
        pairs = zip(answers, labels.tolist(), strict=True)
        right = np.mean([a is not None and a.label == label for a, label in pairs])
        print(f"{name}: {right:.2%}", flush=True)

    labels = test.labels.numpy()
    print_accuracy("test images as they are", predictor.predict(test.images), labels)
    rendered = predictions(predictor, (photograph(i, random) for i in test.images.numpy()))
    print_accuracy(f"rendered at {SIDE} x {SIDE}", rendered, labels)
    others = predictions(predictor, map(drawn, digits.images))
    print_accuracy("scikit-learn's digits", others, digits.target)
    threshold = float(np.quantile([a.typicality for a in rendered if a is not None], 0.01))
    print(f"rejected at typicality {threshold:.3f}, and unknown at the default rate:")
    sets = {"letters": letters(), "scribbles": scribbles(random)}
    sets["blank pages"] = blanks(random, PAGES)
    answers = {name: predictions(predictor, pictures) for name, pictures in sets.items()}
    for name, of_set in {"rendered digits": rendered, **answers}.items():
        rejected = np.mean([a is None or a.typicality <= threshold for a in of_set])
        unknown = np.mean([a is None or not a.known for a in of_set])
        print(f"{name}: {rejected:.2%} and {unknown:.2%} of {len(of_set)}")
