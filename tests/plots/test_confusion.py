"""The confusion matrix."""

import numpy as np

from circlemnist.plots.confusion import confusion_figure
from tests.plots.figures import CLOTHES, TITLED, boxes_of, words


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
