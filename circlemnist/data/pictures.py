"""Pictures from files, in any of Pillow's formats: what is too large is refused before decoding."""

import io
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from threadpoolctl import threadpool_limits
from torch import Tensor

from circlemnist.config import SIDE
from circlemnist.data.prepare import Digit, coarse, digits, fitted
from circlemnist.errors import UserError

MOST_PIXELS = 50_000_000
MOST_BYTES = 200_000_000
STANDARD_INPUT = Path("-")
SHOWN = 256  # pixels: longer side of a picture that is kept to be shown
WIDEST = 512  # pixels: a picture with longer sides is made smaller by a whole factor
AHEAD = 200  # files that are read ahead
HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1"))
TOO_LARGE = f"has more than {MOST_PIXELS // 1_000_000} megapixels: save it smaller"
# these would start other programs, are read by libraries that are rarely there, or hold a picture
# whose size is known only when it is decoded
REFUSED = ("EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "ICO", "ICNS")

Read = tuple[Image.Image, list[Digit]]
S = TypeVar("S")
T = TypeVar("T")


class Manner(NamedTuple):
    """How a picture becomes images."""

    # its ink placed as MNIST's was; the whole picture fitted into the image; or taken as it is, of
    # 28 × 28 already, light on dark
    kind: Literal["placed", "fitted", "as is"] = "placed"
    one: bool = False  # there is only one digit, as where it is not "placed"
    side: int = SIDE  # pixels that a digit is as coarse as, where it is "placed"


def picture_files(paths: Sequence[Path]) -> Iterator[Path | UserError]:
    """Give the files of `paths`, and those in its folders and below that Pillow may read, sorted.

    An error stands in the place of a folder that has none.
    """
    Image.init()
    for path in paths:
        try:
            if not path.is_dir():
                yield path
                continue
            named = (file for file in path.rglob("*") if named_as_picture(file.name))
            files = sorted(file for file in named if file.is_file())
        except OSError as error:
            yield UserError(f"{path}: cannot be read: {_reason(error)}")
            continue
        yield from files
        if not files:
            yield UserError(f"{path}: there are no pictures in this folder")


def named_as_picture(name: str) -> bool:
    """Tell whether Pillow may read a file of that name, which is not hidden; after `Image.init`."""
    kind = Image.EXTENSION.get(os.path.splitext(name)[1].lower())  # noqa: PTH122 - of 100,000 names
    return kind in Image.OPEN and kind not in REFUSED and not name.startswith(".")


def read_picture(source: Path | BinaryIO, name: str | None = None) -> Image.Image:
    """Decode a picture from a file, upright as its EXIF says, in the mode it is kept in.

    Args:
        source: a file, or one that is open.
        name: what messages call it; None for its path.

    Raises:
        UserError: it cannot be read, is no picture, has too many pixels, or moves; in one line.
    """
    name = str(source) if name is None else name
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                return read_picture(file, name)
        content = source.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{name}: cannot be read: {_reason(error)}") from error
    if len(content) > MOST_BYTES:
        raise UserError(f"{name}: has more than {MOST_BYTES:,} bytes: save it smaller")
    if content[4:12] in HEIC:
        raise UserError(f"{name}: is a HEIC picture: save it as JPEG or PNG")
    return _decoded(content, name)


def _decoded(content: bytes, name: str) -> Image.Image:
    Image.init()
    formats = [kind for kind in Image.OPEN if kind not in REFUSED]
    with named(name), _decoding(), Image.open(io.BytesIO(content), formats=formats) as image:
        check_size(image)
        image.draft(None, (WIDEST, WIDEST))  # a JPEG is decoded no larger than it is needed
        return upright(image)


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise UserError("is no picture that can be read") from error
    except Exception as error:
        # Pillow raises a different exception for each way in which a file can be bad
        raise UserError(f"is a damaged picture: {_reason(error)}") from error


def upright(image: Image.Image) -> Image.Image:
    """Return a picture decoded, and turned as its EXIF says.

    Raises:
        UserError: it has too many pixels, moves, or is damaged.
    """
    with _decoding():
        check_size(image)
        # a phone's several pictures of one moment begin with the one that is shown
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            raise UserError("has several frames: save the one you mean by itself")
        image.load()
        return ImageOps.exif_transpose(image)


def check_size(image: Image.Image) -> None:
    """Raise UserError for a picture of more than `MOST_PIXELS`, or of none."""
    if image.width * image.height > MOST_PIXELS:
        raise UserError(TOO_LARGE)
    if image.width * image.height == 0:
        raise UserError("has no pixels")


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:100]


def grey_of(image: Image.Image) -> NDArray[np.float32]:
    """Return a picture in grey, (H, W) float32 in 0-255.

    What is transparent is laid on white where what is not is dark, else on black.
    """
    if image.mode[0] in "IF":  # up to the most of floats, of 8 or 16 bits, or of its own
        values = np.nan_to_num(np.asarray(image, np.float32)).clip(0)
        most = next((most for most in (1, 255, 65_535) if values.max() <= most), values.max())
        return np.asarray(values / most * 255, np.float32)
    return np.asarray(_opaque(image).convert("L"), np.float32)


def _opaque(image: Image.Image) -> Image.Image:
    """Return a picture in RGB, on white or black where it is transparent."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    grey, alpha = (
        np.asarray(layer, np.float32)
        for layer in (image.convert("RGB").convert("L"), image.getchannel("A"))
    )
    dark = float((grey * alpha).sum()) < 127.5 * float(alpha.sum())
    paper = Image.new("RGBA", image.size, "white" if dark else "black")
    return Image.alpha_composite(paper, image).convert("RGB")


def thumbnail(picture: Image.Image) -> Image.Image:
    """Return a picture to be shown: in RGB, opaque, with sides of `SHOWN` or less."""
    if picture.mode[0] in "IF":
        picture = Image.fromarray(grey_of(picture).astype(np.uint8))
    shown = _opaque(picture)
    shown.thumbnail((SHOWN, SHOWN))
    return shown


def read_digits(picture: Image.Image, manner: Manner) -> list[Digit]:
    """Find the digits of a picture, each as the network takes it, in reading order.

    Returns:
        Images (28, 28) uint8, 0 the background; boxes as shares of the width and the height.

    Raises:
        UserError: it has too many pixels, nothing is on it, or it is not 28 × 28.
    """
    check_size(picture)
    if manner.kind == "placed":
        grey = grey_of(smaller(picture))
        sides = grey.shape[::-1] * 2
        return [
            Digit(
                tuple(round(edge / side, 4) for edge, side in zip(box, sides, strict=True)),
                image if manner.side == SIDE else coarse(image, manner.side),
            )
            for box, image in digits(grey, manner.one)
        ]
    if manner.kind == "as is" and picture.size != (SIDE, SIDE):
        wide, high = picture.size
        raise UserError(f"is {wide} × {high}, and as it is an image has {SIDE} × {SIDE}")
    grey = fitted(grey_of(smaller(picture))) if manner.kind == "fitted" else grey_of(picture)
    pixels = np.round(grey).astype(np.uint8)
    if pixels.min() == pixels.max():
        raise UserError("there is nothing on it: it is blank")
    return [Digit((0, 0, 1, 1), pixels)]


def smaller(picture: Image.Image) -> Image.Image:
    """Return a picture with sides of `WIDEST` or less, up to a factor of two."""
    factor = max(picture.size) // WIDEST
    if factor < 2:
        return picture
    if picture.mode in ("P", "PA", "1"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray(grey_of(picture))
    return picture.reduce(factor)


def read_all(
    sources: Sequence[Path | UserError], manner: Manner
) -> Generator[Read | str, None, None]:
    """Read and prepare pictures, on all cores; in their order, a line in place of a bad one.

    Returns:
        Of each the picture as it is shown, and its digits.
    """

    def read(source: Path | UserError) -> Read | str:
        try:
            if isinstance(source, UserError):
                raise source
            is_file = source != STANDARD_INPUT
            if not is_file and sys.stdin is None:
                raise UserError("-: standard input is closed")
            picture = read_picture(source) if is_file else read_picture(sys.stdin.buffer, "-")
            with named(source):
                small = smaller(picture)
                return thumbnail(small), read_digits(
                    picture if manner.kind == "as is" else small, manner
                )
        except UserError as error:
            return str(error)

    return on_all_cores(read, sources)


def on_all_cores(work: Callable[[S], T], sources: Iterable[S]) -> Generator[T, None, None]:
    """Give what `work` makes of each source, in their order; `AHEAD` are begun before one is used.

    What Pillow warns of is not shown.
    """
    cores, waiting = ThreadPoolExecutor(os.cpu_count()), deque[Future[T]]()
    # products of small matrices in each of the threads, whose own threads would wait for each other
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore")  # Pillow warns of what is odd in a file that it reads
        try:
            for source in sources:
                waiting.append(cores.submit(work, source))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            cores.shutdown(cancel_futures=True)


@contextmanager
def named(name: object) -> Iterator[None]:
    """Begin the message of a UserError within by the name of the picture that it is of."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def digits_of(image: object, manner: Manner) -> list[Digit]:
    """Return the digits of a Pillow image, or of a file, as `read_digits` does.

    Raises:
        UserError: it is neither, cannot be read, or nothing is on it.
    """
    if isinstance(image, Image.Image):
        return read_digits(upright(image), manner)
    if not isinstance(image, str | Path):
        kind = type(image).__name__
        raise UserError(f"an image is a path, a Pillow image, an array or a tensor: no {kind}")
    picture = read_picture(Path(image))
    with named(image):
        return read_digits(picture, manner)


def as_pixels(given: Tensor | NDArray[Any]) -> Tensor:
    """Return images given as numbers as (N, 28, 28) uint8.

    Raises:
        UserError: they have another shape, or are neither uint8 nor float in 0-1.
    """
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "uif":
            raise UserError(f"images must be uint8 in 0-255, or float in 0-1, not {given.dtype}")
        # of this machine's byte order, contiguous and writable, as torch wants them
        given = torch.from_numpy(np.array(given, given.dtype.newbyteorder("="), order="C"))
    images, shape = given, tuple(given.shape)
    if images.ndim == 2:
        images = images[None]
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise UserError(f"images must be (N, {SIDE}, {SIDE}), not {shape}: else give Pillow images")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point() or not ((images >= 0) & (images <= 1)).all():
        raise UserError("images must be uint8 in 0-255, or float in 0-1")
    return (images * 255).round().to(torch.uint8)
