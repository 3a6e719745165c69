"""Measure how a run does on pictures: rendered test images, other writers, letters, scribbles.

    python -m benchmarks.predict outputs/default --data-dir data

Prints the accuracy by 20-NN of the test images of MNIST as they are and rendered as dark ink on
light paper; that of all 1,797 digits of scikit-learn drawn as pictures; and what share of letters
and of scribbles is rejected, or found blank, at the threshold that rejects 1 % of the rendered
test images; and what share of all these is unknown at the default threshold.
"""

import argparse
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

import circlemnist
from circlemnist.data.datasets import load_dataset
from circlemnist.data.prepare import prepare
from circlemnist.errors import UserError
from circlemnist.evaluation.predict import Prediction, Predictor

SIDE = 200
LOOK_ALIKES = "BDGIJLOQSTZabgiloqstyz"  # letters that look like a digit, and are left out
FONTS = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")
Array = NDArray[Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    run = circlemnist.load(arguments.run)
    test = load_dataset("mnist", arguments.data_dir).test
    random = np.random.default_rng(0)
    plain = run.predict(test.images)
    print(f"test images as they are: {accuracy(plain, test.labels.tolist()):.2%}", flush=True)
    rendered, labels = predicted(
        run, [photograph(i, random) for i in test.images.numpy()], test.labels
    )
    print(f"rendered at {SIDE} x {SIDE}: {accuracy(rendered, labels):.2%}", flush=True)
    digits = load_digits()
    others, labels = predicted(run, [drawn(image) for image in digits.images], digits.target)
    print(f"scikit-learn's digits: {accuracy(others, labels):.2%}", flush=True)
    threshold = float(np.quantile([one.typicality for one in rendered if one is not None], 0.01))
    refused = np.mean([one is None or not one.known for one in rendered])
    print(f"rendered digits: {refused:.2%} unknown at the default", flush=True)
    sets = {"letters": letters(), "scribbles": scribbles(random), "blank pages": blanks(random)}
    for name, pictures in sets.items():
        found, _ = predicted(run, pictures, [0] * len(pictures))
        share = np.mean([one is None or one.typicality <= threshold for one in found])
        print(
            f"{name}: {share:.2%} of {len(pictures)} rejected at typicality {threshold:.3f}; "
            f"{np.mean([one is None or not one.known for one in found]):.2%} unknown at "
            "the default",
            flush=True,
        )


def accuracy(found: Sequence[Prediction | None], labels: Sequence[int]) -> float:
    """Return the share that is right; a picture that was found blank is not."""
    right = [
        one is not None and one.label == label for one, label in zip(found, labels, strict=True)
    ]
    return float(np.mean(right))


def predicted(
    run: Predictor, pictures: Sequence[Array], labels: Any
) -> tuple[list[Prediction | None], list[int]]:
    """Return what each picture is taken for, None where nothing is on it, and the labels."""
    images, there = [], []
    for place, picture in enumerate(pictures):
        try:
            images.append(prepare(picture))
            there.append(place)
        except UserError:
            pass
    found: list[Prediction | None] = [None] * len(pictures)
    if images:
        for place, one in zip(there, run.predict(torch.tensor(np.stack(images))), strict=True):
            found[place] = one
    return found, [int(label) for label in labels]


def photograph(image: Array, random: np.random.Generator) -> Array:
    """Return an image as dark ink on light paper: shifted, scaled, in noise and uneven light."""
    size = int(random.uniform(0.45, 0.95) * SIDE)
    large = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    ink = np.zeros((SIDE, SIDE))
    left, top = random.integers(0, SIDE - size + 1, 2)
    ink[top : top + size, left : left + size] = np.asarray(large) / 255
    return lit(ink, random)


def lit(ink: Array, random: np.random.Generator) -> Array:
    paper, dark = random.uniform(190, 245), random.uniform(10, 80)
    angle, line = random.uniform(0, 2 * np.pi), np.linspace(-1, 1, SIDE)
    slope = (np.cos(angle) * line[:, None] + np.sin(angle) * line) / 2**0.5
    rim = (line[:, None] ** 2 + line**2) / 2
    light = 1 + random.uniform(0, 0.3) * slope - random.uniform(0, 0.2) * rim
    noise = random.normal(0, random.uniform(0, 12), ink.shape)
    return np.clip(np.round((paper + (dark - paper) * ink) * light + noise), 0, 255).astype(
        np.uint8
    )


def drawn(image: Array) -> Array:
    """Return one of scikit-learn's digits, 8 × 8 in 0-16, as dark ink on white, 200 × 200."""
    small = Image.fromarray((image / 16 * 255).astype(np.uint8))
    large = np.asarray(small.resize((160, 160), Image.Resampling.BICUBIC))
    return np.pad(255 - large, 20, constant_values=255)


def letters() -> list[Array]:
    """Return each letter but the look-alikes in each font, black on white."""
    pictures = []
    for family in FONTS:
        for weight in ("normal", "bold"):
            for style in ("normal", "oblique"):
                wanted = font_manager.FontProperties(family=family, weight=weight, style=style)
                font = ImageFont.truetype(font_manager.findfont(wanted), 120)
                for letter in sorted(set(string.ascii_letters) - set(LOOK_ALIKES)):
                    page = Image.new("L", (SIDE, SIDE), 255)
                    place = (SIDE / 2, SIDE / 2)
                    ImageDraw.Draw(page).text(place, letter, fill=0, font=font, anchor="mm")
                    pictures.append(np.asarray(page))
    return pictures


def scribbles(random: np.random.Generator, count: int = 500) -> list[Array]:
    """Return pages of a pen that wandered to 12 random places."""
    pictures = []
    for _ in range(count):
        page = Image.new("L", (SIDE, SIDE), 0)
        points = [tuple(point) for point in random.uniform(30, SIDE - 30, (12, 2))]
        ImageDraw.Draw(page).line(points, fill=255, width=int(random.integers(5, 12)))
        pictures.append(lit(np.asarray(page) / 255, random))
    return pictures


def blanks(random: np.random.Generator, count: int = 500) -> list[Array]:
    return [lit(np.zeros((SIDE, SIDE)), random) for _ in range(count)]


if __name__ == "__main__":
    main()
