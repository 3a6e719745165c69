"""Draw the pictures at the top of README.md and in its table, of one run.

    circlemnist train --snapshots --name pictures
    python -m benchmarks.readme_pictures outputs/pictures     # writes into docs/pictures/

Expected: `space.webp` under 1 MB, `explorer.png` under 150 KB, the small ones under 60 KB each;
some minutes, most of them t-SNE's. The page of the explorer needs chromium with chromedriver.
"""

import argparse
import tempfile
from pathlib import Path

from PIL import Image, ImageSequence

from benchmarks.pad import STROKE
from benchmarks.swept import circlemnist
from tests.explorer.browser import start_browser

OUT = Path(__file__).parent.parent / "docs" / "pictures"
SMALL = ("embedding", "circle", "similarities", "neighbors", "gradients")
WIDTH, SMALL_WIDTH, PAGE_WIDTH = 640, 480, 960  # pixels


def write_small(run: str, folder: Path) -> None:
    """Draw the five of the table, in as few colours as they need."""
    for kind in SMALL:
        path = folder / f"{kind}.png"
        circlemnist("plot", run, "--kind", kind, "--width", str(SMALL_WIDTH), "--out", str(path))
        fewer_colours(path, OUT / f"small-{kind}.png")


def write_animation(run: str, folder: Path) -> None:
    """Draw the space as it forms; a WebP has a third of the size of its GIF."""
    path = folder / "space.gif"
    args = ("--kind", "animation", "--width", str(WIDTH), "--out", str(path))
    circlemnist("plot", run, *args)
    with Image.open(path) as movie:
        times = [frame.info["duration"] for frame in ImageSequence.Iterator(movie)]
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(movie)]
    first, *others = frames
    first.save(
        OUT / "space.webp", save_all=True, append_images=others, duration=times, loop=0, quality=60
    )


def write_explorer(run: str, folder: Path) -> None:
    """Take a picture of the page, with a digit drawn on its pad."""
    path = folder / "explorer.html"
    circlemnist("explore", run, "--out", str(path))
    page = start_browser()
    try:
        page.open(path, 1280, 1140)
        page.draw(STROKE)
        page.until("document.querySelectorAll('#mark circle').length > 0")
        page.driver.save_screenshot(str(folder / "explorer.png"))
    finally:
        page.driver.quit()
    fewer_colours(folder / "explorer.png", OUT / "explorer.png", PAGE_WIDTH)


def fewer_colours(path: Path, out: Path, width: int = SMALL_WIDTH) -> None:
    """Write a PNG again in that width, with 256 colours."""
    with Image.open(path) as picture:
        size = (width, round(picture.height * width / picture.width))
        whole = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        whole.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)


def main() -> None:
    """Parse, draw, say how large the files are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of a run with snapshots")
    run = parser.parse_args().run
    with tempfile.TemporaryDirectory() as name:
        for write in (write_small, write_animation, write_explorer):
            write(run, Path(name))
    for path in sorted(OUT.iterdir()):
        print(f"{path.name:<24}{path.stat().st_size / 1e3:7.0f} KB")


if __name__ == "__main__":
    main()
