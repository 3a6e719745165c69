"""A picture of a digit becomes what the makers of MNIST would have made of it."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from benchmarks import predict
from circlemnist.data.prepare import BOX, CENTER, coarse, digits, placed, prepare, resizing
from circlemnist.errors import UserError

Array = NDArray[Any]


def strokes(side: int = 160, width: int = 12) -> Array:
    """Ink (side, side) in 0-1: an upright stroke with a foot to its right."""
    drawn = np.zeros((side, side))
    left, top, height = side * 3 // 10, side // 5, side // 2
    drawn[top : top + height, left : left + width] = 1
    drawn[top + height - width : top + height, left : left + height // 2] = 1
    return drawn


def pictured(drawn: Array, paper: float = 230, dark: float = 40) -> Array:
    return paper + (dark - paper) * drawn


def extent(image: Array) -> tuple[int, int]:
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def difference(a: Array, b: Array) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def test_ink_fills_the_box_and_is_centred_by_its_mass() -> None:
    for drawn in (strokes(), strokes().T, strokes()[::-1]):
        image = prepare(pictured(drawn))
        assert (image.shape, image.dtype) == ((28, 28), np.uint8)
        assert image.max() == 255
        assert max(extent(image)) == BOX
        mass = image.astype(float)
        for axis in (0, 1):
            center = mass.sum(axis) @ np.arange(28) / mass.sum()
            assert CENTER - 0.5 <= center <= CENTER + 0.5


def test_placed_is_what_a_transcription_of_the_definition_gives() -> None:
    """Each pixel of the box is a mean over a triangle of two of its widths, one by one."""
    box = np.random.default_rng(0).uniform(0.1, 1, (50, 30))
    small = np.zeros((20, 12))
    for i, j in np.ndindex(20, 12):
        weights = np.array(
            [
                [
                    max(0, 1 - abs((y + 0.5) / 2.5 - (i + 0.5)))
                    * max(0, 1 - abs((x + 0.5) / 2.5 - (j + 0.5)))
                    for x in range(30)
                ]
                for y in range(50)
            ]
        )
        small[i, j] = (weights * box).sum() / weights.sum()
    small = np.clip(small / np.percentile(small, 95), 0, 1)
    y, x = ((small * places).sum() / small.sum() for places in np.indices((20, 12)))
    expected = np.zeros((28, 28))
    top, left = round(14 - y), round(14 - x)
    expected[top : top + 20, left : left + 12] = np.round(255 * small)
    assert np.abs(placed(np.pad(box, 7)).astype(float) - expected).max() <= 1


@pytest.mark.parametrize("shift", [(0, 0), (50, 40), (-25, 60)])
def test_place_and_size_in_the_picture_do_not_matter(shift: tuple[int, int]) -> None:
    plain = prepare(pictured(strokes(200, 16)))
    moved = np.roll(strokes(200, 16), shift, (0, 1))
    assert difference(prepare(pictured(moved)), plain) < 1
    assert difference(prepare(pictured(np.pad(strokes(200, 16), 60))), plain) < 6


def test_uneven_light_and_noise_are_cleared() -> None:
    drawn = strokes(200, 14)
    light = np.linspace(1, 0.55, 200)[:, None] * np.linspace(0.8, 1, 200)
    noise = np.random.default_rng(0).normal(0, 8, drawn.shape)
    image = prepare(pictured(drawn) * light + noise)
    assert difference(image, prepare(pictured(drawn))) < 4
    assert (image == 0).mean() > 0.7


def test_speck_beside_the_strokes_is_left_out() -> None:
    drawn = strokes(200, 16)
    dirty = drawn.copy()
    dirty[6:9, 180:183] = 1
    assert difference(prepare(pictured(dirty)), prepare(pictured(drawn))) < 1


def test_dot_that_is_part_of_it_stays() -> None:
    dotted = np.zeros((200, 200))
    dotted[70:170, 95:107] = 1
    dotted[40:54, 94:108] = 1
    image = prepare(pictured(dotted))
    rows = image.any(1)
    assert extent(image)[0] == BOX
    assert np.diff(np.flatnonzero(rows)).max() > 1


@pytest.mark.parametrize("kind", ["even", "noisy", "uneven", "black"])
def test_blank_picture_is_named(kind: str) -> None:
    blank = np.full((150, 150), 0.0 if kind == "black" else 220.0)
    if kind == "noisy":
        blank += np.random.default_rng(0).normal(0, 10, blank.shape)
    if kind == "uneven":
        blank *= np.linspace(1, 0.5, 150)
    with pytest.raises(UserError, match="nothing on it"):
        prepare(blank)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 3), (28, 28), (500, 3)])
def test_odd_shapes_are_prepared_or_named(shape: tuple[int, int]) -> None:
    with suppress(UserError):
        assert prepare(np.random.default_rng(0).uniform(0, 255, shape)).max() == 255


def test_pages_in_uneven_light_are_blank_and_soft_strokes_are_not() -> None:
    """A darker corner and noise are no ink; strokes that leave little of the paper are."""
    found = 0
    for page in predict.blanks(np.random.default_rng(0), 40):
        with suppress(UserError):
            prepare(page)
            found += 1
    assert found <= 2
    for digit in load_digits().images[:100]:
        assert prepare(predict.drawn(digit)).max() == 255


def lined(kind: str, drawn: Array) -> Array:
    """Ink (160, 160) with the lines of a kind of paper."""
    lines = np.zeros_like(drawn)
    if kind == "frame":
        lines[6:8, 6:154] = lines[152:154, 6:154] = 0.8
        lines[6:154, 6:8] = lines[6:154, 152:154] = 0.8
    elif kind == "touched frame":
        lines[28:30, 10:150] = lines[113:115, 10:150] = 0.8
        lines[28:115, 10:12] = lines[28:115, 148:150] = 0.8
    elif kind == "edge":
        lines[:, 1:4] = 0.8
    elif kind == "ruled":
        lines[20::50] = lines[21::50] = 0.8
    elif kind == "grid":
        lines[10::20] = lines[:, 10::20] = 0.3
    return np.maximum(drawn, lines)


@pytest.mark.parametrize("kind", ["frame", "touched frame", "edge", "ruled", "grid"])
def test_lines_of_the_paper_are_not_of_the_digit(kind: str) -> None:
    """Nor on dark paper, nor turned by a quarter."""
    plain = prepare(pictured(strokes()))
    picture = pictured(lined(kind, strokes()))
    if kind == "touched frame":
        picture = picture[20:123]
    for given, wanted in ((picture, plain), (255 - picture, plain), (picture.T, plain.T)):
        (digit,) = digits(given)
        assert difference(digit.image, wanted) < 6


@pytest.mark.parametrize("margin", [4, 8])
@pytest.mark.parametrize("width", [6, 12, 24])
def test_ink_that_fills_the_picture_is_ink(margin: int, width: int) -> None:
    """However wide its strokes, and though they are straight and as long as the picture."""
    drawn = strokes(160, width)
    ink = np.pad(drawn[32:112, 48:88], margin)
    for given in (pictured(ink), 255 - pictured(ink)):
        (digit,) = digits(given)
        assert difference(digit.image, prepare(pictured(drawn))) < 6


@pytest.mark.parametrize("size", [0.6, 1.0])
def test_digits_of_a_page_are_read_in_rows(size: float) -> None:
    """Each where it is, as if it were alone; its row is not quite level."""
    page, places = np.zeros((540, 500)), []
    for number in range(12):
        row, column = divmod(number, 3)
        top, left = 120 * row + 10 * (column % 2), 160 * column
        page[top : top + 160, left : left + 160] += strokes(width=6 + 2 * number)
        places.append((left + 48, top + 32, left + 88, top + 112))
    high, wide = (round(size * side) for side in page.shape)
    smaller = resizing(540, high) @ page @ resizing(500, wide).T
    found = digits(pictured(smaller))
    assert len(found) == 12
    np.testing.assert_allclose([one.box for one in found], np.multiply(places, size), atol=2)
    for number, one in enumerate(found):
        assert difference(one.image, prepare(pictured(strokes(width=6 + 2 * number)))) < 12 / size


def test_pieces_of_one_digit_are_not_several() -> None:
    """A bar beside the top of a 5, the dot of a 1, both strokes of a 4, and dirt."""
    five, dotted, four, dirty = (np.zeros((200, 200)) for _ in range(4))
    five[60:160, 70:80] = five[150:160, 70:110] = five[50:58, 86:140] = 1
    dotted[70:170, 95:107] = dotted[40:54, 94:108] = 1
    four[40:120, 60:70] = four[110:120, 60:112] = four[40:170, 118:128] = 1
    dirty[50:150, 90:100] = dirty[30:34, 20:24] = dirty[180:183, 150:160] = 1
    for drawn in (five, dotted, four, dirty):
        assert len(digits(pictured(drawn))) == 1
    two = np.concatenate([five, dotted], 1)
    assert [len(digits(pictured(two), one)) for one in (False, True)] == [2, 1]


def test_boxes_of_a_form_are_not_of_the_digits_in_them() -> None:
    cell = lined("frame", strokes())
    found = digits(pictured(np.pad(np.concatenate([cell, cell], 1), 20)))
    assert len(found) == 2
    for one in found:
        assert difference(one.image, prepare(pictured(strokes()))) < 6


def test_coarse_image_is_that_of_8_by_8_pixels_which_the_digit_fills() -> None:
    image = coarse(prepare(pictured(strokes())), 8)
    assert (image.shape, image.dtype, extent(image)[0]) == ((28, 28), np.uint8, 28)
    small = resizing(28, 8) @ image @ resizing(28, 8).T
    assert difference(resizing(8, 28) @ small @ resizing(8, 28).T, image) < 12
