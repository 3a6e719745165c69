"""The confusion matrix."""

import json
from pathlib import Path

import numpy as np

from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.plots.confusion import confusion_figure
from tests.plots.figures import CLOTHES, TITLED, boxes_of, drawn, words


def test_confusion_counts_what_the_metric_counts(trained: TrainedRun, finished_run: Path) -> None:
    figure = drawn("confusion", trained)
    metrics = json.loads((finished_run / "eval.json").read_text())["metrics"]
    (axes,) = figure.axes
    right = [int(text.get_text().split("\n")[0]) for text in axes.texts if "%" in text.get_text()]
    wrong = [int(text.get_text()) for text in axes.texts if "%" not in text.get_text()]
    assert sum(right) == round(360 * metrics["1nn"])
    assert sum(right) + sum(wrong) == 360


def test_confusion_has_room_for_long_names() -> None:
    counts = np.diag(np.full(10, 900)) + np.arange(100).reshape(10, 10)
    figure = confusion_figure(counts, CLOTHES, *TITLED)
    boxes = boxes_of(figure, figure.axes[0].get_yticklabels())
    assert len(boxes) == 10
    assert min(box.x0 for box in boxes) >= 0
    assert {"T-shirt", "sneaker"} <= words(figure)


def test_a_class_without_images_has_no_share() -> None:
    counts = np.diag([0, *[900] * 9])
    assert words(confusion_figure(counts, CLOTHES, *TITLED)) >= {"900\n100.0 %"}
    assert not any(
        word.startswith("0") for word in words(confusion_figure(counts, CLOTHES, *TITLED))
    )
