"""Pictures in every mode and of every badness: read right, or named in one line."""

import io
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from circlemnist.data import pictures
from circlemnist.data.pictures import (
    MOST_PIXELS,
    Manner,
    as_pixels,
    picture_files,
    read_digits,
    read_picture,
)
from circlemnist.errors import UserError
from tests.data.test_prepare import difference, pictured, strokes

PLAIN = Image.fromarray(pictured(strokes()).astype(np.uint8))


def prepared(picture: Image.Image, kind: Any = "placed") -> NDArray[np.uint8]:
    """Return the one digit of a picture, (28, 28)."""
    return read_digits(picture, Manner(kind, one=True))[0].image


def saved(image: Image.Image, kind: str, **more: object) -> Image.Image:
    """Return an image as it comes back from a file of that kind."""
    file = io.BytesIO()
    image.save(file, kind, **more)
    return read_picture(io.BytesIO(file.getvalue()), "it")


def transparent(colour: int) -> Image.Image:
    """Ink of a grey on nothing, whose hidden colour is the same."""
    ink = np.full((160, 160, 4), colour, np.uint8)
    ink[..., 3] = 255 * strokes()
    return Image.fromarray(ink)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (PLAIN, "PNG"),
        (PLAIN, "JPEG"),
        (PLAIN, "WEBP"),
        (PLAIN, "BMP"),
        (PLAIN, "TIFF"),
        (PLAIN, "GIF"),
        (PLAIN.convert("RGB"), "PNG"),
        (PLAIN.convert("RGB").convert("CMYK"), "TIFF"),
        (PLAIN.convert("RGB").convert("CMYK"), "JPEG"),
        (PLAIN.convert("P"), "PNG"),
        (PLAIN.point(lambda value: 255 * (value > 128)).convert("1"), "PNG"),
        (Image.fromarray(np.asarray(PLAIN).astype(np.uint16) * 257), "PNG"),
        (Image.fromarray(np.asarray(PLAIN).astype(np.int32)), "TIFF"),
        (Image.fromarray(np.asarray(PLAIN, np.float32) / 255), "TIFF"),
        (transparent(0), "PNG"),
        (transparent(0), "WEBP"),
        (transparent(255), "PNG"),  # laid on black
    ],
)
def test_every_mode_gives_the_same_image(image: Image.Image, kind: str) -> None:
    assert difference(prepared(saved(image, kind)), prepared(PLAIN)) < 3


def test_large_picture_is_made_smaller_first() -> None:
    assert difference(prepared(PLAIN.resize((2400, 2400))), prepared(PLAIN)) < 6


def test_as_it_is_keeps_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    np.testing.assert_array_equal(prepared(Image.fromarray(pixels), kind="as is"), pixels)
    finer = np.maximum(pixels * 257.0 - 100, 0)  # 0.4 of a grey below: rounded, not cut off
    sixteen = saved(Image.fromarray(finer.astype(np.uint16)), "PNG")
    np.testing.assert_array_equal(prepared(sixteen, kind="as is"), pixels)
    np.testing.assert_array_equal(as_pixels(np.maximum(pixels - 0.4, 0) / 255)[0], pixels)
    with pytest.raises(UserError, match="160 × 160"):
        prepared(PLAIN, kind="as is")


@pytest.mark.parametrize("colour", [0, 255])
def test_what_is_blank_is_no_image_as_it_is(colour: int) -> None:
    with pytest.raises(UserError, match="nothing on it"):
        prepared(Image.new("L", (28, 28), colour), kind="as is")


def huge_png() -> bytes:
    """A PNG that says it is 20,000 × 20,000; were it decoded, its data would prove cut off."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = (20_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


def animation(kind: str) -> bytes:
    file = io.BytesIO()
    frames = [PLAIN, PLAIN.rotate(90)]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no picture"),
        (b"no picture at all", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (huge_png(), f"more than {MOST_PIXELS // 1_000_000} megapixels"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC picture: save it as JPEG"),
        (animation("GIF"), "several frames"),
        (animation("PNG"), "several frames"),
        (animation("TIFF"), "several frames"),
    ],
)
def test_bad_file_is_named_in_one_line(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "it.png"
    file.write_bytes(content)
    with pytest.raises(UserError, match=says) as error:
        read_picture(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


def test_picture_whose_size_a_header_hides_is_not_decoded(tmp_path: Path) -> None:
    """An icon says 256 × 256 at most, and may hold a PNG of any size."""
    icon = tmp_path / "it.ico"
    Image.new("L", (32, 32)).save(icon)
    with pytest.raises(UserError, match=r"it.ico: is no picture that can be read"):
        read_picture(icon)
    assert [str(one) for one in picture_files([tmp_path])] == [
        f"{tmp_path}: there are no pictures in this folder"
    ]


def test_path_that_cannot_be_asked_for_is_named_and_the_others_are_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_picture(tmp_path / "nothing.png")
    Image.new("L", (9, 9)).save(tmp_path / "it.png")
    long, found = picture_files([tmp_path / ("x" * 300), tmp_path / "it.png"])
    assert found == tmp_path / "it.png"
    (line,) = pictures.read_all([long], Manner("placed"))
    assert str(line).startswith(f"{tmp_path}/xxx")
    assert "cannot be read: File name too long" in str(line)


def test_folders_give_their_pictures_sorted(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/c.webp", "notes.txt", ".hidden.png", "d.eps"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    found = list(picture_files([tmp_path / "in", Path("as/given.xyz")]))
    names = ["in/a.JPG", "in/b.png", "in/deep/c.webp"]
    assert found == [*(tmp_path / name for name in names), Path("as/given.xyz")]
    (tmp_path / "none").mkdir()
    (error,) = picture_files([tmp_path / "none"])
    assert isinstance(error, UserError)
    assert "no pictures" in str(error)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_damaged_files_are_read_or_named_in_bounded_memory() -> None:
    """A header may say 50 megapixels, of 150 MB; more is refused ahead of decoding."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        assert 0 < fresh.submit(read_damaged_files).result() < 500


def read_damaged_files() -> float:
    """Read 600 PNG and JPEG files with bytes changed, cut off or doubled.

    Returns:
        By how many megabytes this process has grown at most.
    """
    random = np.random.default_rng(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of now
    before = peak_memory()
    for kind in ("PNG", "JPEG"):
        file = io.BytesIO()
        PLAIN.convert("RGB").save(file, kind)
        for _ in range(300):
            content = bytearray(file.getvalue())
            for place in random.integers(0, len(content), random.integers(1, 20)):
                content[place] = random.integers(256)
            start, stop = np.sort(random.integers(0, len(content), 2))
            damage = random.integers(3)
            content = content[:stop] if damage == 1 else content
            content = content[:stop] + content[start:] if damage == 2 else content
            with suppress(UserError):
                assert prepared(read_picture(io.BytesIO(content), "it")).shape == (28, 28)
    return peak_memory() - before


def peak_memory() -> float:
    """The most that this process has held at once, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def test_pictures_come_in_order_and_few_are_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "AHEAD", 3)
    files = [tmp_path / f"{number}.png" for number in range(12)]
    for number, file in enumerate(files):
        image = Image.new("L", (28, 28), number)
        image.putpixel((1, 1), 255)
        image.save(file)
    reading = pictures.read_all(files, Manner("as is"))
    first = next(reading)
    for file in files[5:]:  # too far ahead to have been read
        file.unlink()
    rest = list(reading)
    values = [one[1][0].image[0, 0] for one in [first, *rest[:4]] if not isinstance(one, str)]
    assert values == [0, 1, 2, 3, 4]
    assert all(str(file) in str(line) for file, line in zip(files[5:], rest[4:], strict=True))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "CMYK"])
def test_what_is_shown_of_a_large_picture_is_small(mode: str, tmp_path: Path) -> None:
    """Thousands of them are in memory at once."""
    grey = Image.new("L", (1500, 900), 240)
    grey.paste(20, (600, 300, 800, 700))
    if mode == "I;16":
        large = Image.fromarray(np.asarray(grey).astype(np.uint16) * np.uint16(257))
    else:
        large = grey.convert("RGB").convert(mode)
    large.save(tmp_path / "it.tif")
    (one,) = pictures.read_all([tmp_path / "it.tif"], Manner("placed"))
    assert not isinstance(one, str)
    shown = np.asarray(one[0], int)
    assert shown.shape == (154, 256, 3)
    np.testing.assert_allclose(shown[10, 10], 240, atol=4)
    np.testing.assert_allclose(shown[85, 119], 20, atol=4)
