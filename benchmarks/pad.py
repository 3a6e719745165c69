"""From the end of a stroke to its landing on the pad of the explorer, in a headless Chromium.

    python -m benchmarks.pad RUN/plots/explorer.html

Needs chromium, chromedriver and selenium, and a page that `circlemnist explore` has written. Prints
the size of the page, how long it takes to open, the milliseconds of the network by itself, and
those from the moment that the pen is lifted to verdict and mark, and to the frame that shows them:
median and range of 20 strokes. A minute.
"""

import argparse
import statistics
import time
from pathlib import Path

from tests.explorer.browser import Page, start_browser

STROKES = 20
STROKE = [(0.25, 0.2), (0.5, 0.18), (0.75, 0.2), (0.65, 0.4), (0.5, 0.65), (0.42, 0.85)]
# the listener comes after the page's own, once what it does is done
WATCH = """window.times = [];
document.getElementById("paper").addEventListener("pointerup", ({ timeStamp }) => {
  const landed = performance.now() - timeStamp;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    times.push([landed, performance.now() - timeStamp]);
  }));
});"""
EMBED = """(() => {
  const image = new Uint8Array(784).fill(100);
  return Array.from({ length: 20 }, () => {
    const begin = performance.now();
    pad.embed(image);
    return performance.now() - begin;
  });
})()"""


def shown(values: list[float]) -> str:
    """Return median and range of milliseconds."""
    return f"{statistics.median(values):.0f} ms ({min(values):.0f} to {max(values):.0f})"


def measure(page: Page, path: Path) -> None:
    """Open a page, draw on it and print what that takes."""
    print(f"page: {path.stat().st_size / 1e6:.1f} MB")
    page.open(path)
    ready = page.ask("performance.getEntriesByType('navigation')[0].loadEventEnd")
    print(f"loaded after {ready / 1000:.1f} s")
    page.do(WATCH)
    for _ in range(STROKES):
        page.draw(STROKE)
        time.sleep(1)
        page.do("document.getElementById('clear').click()")
        time.sleep(0.5)
    landed, painted = zip(*page.ask("times"), strict=True)
    print(f"network: {shown(page.ask(EMBED))}")
    print(f"pen lifted to verdict and mark: {shown(list(landed))}")
    print(f"pen lifted to the frame that shows them: {shown(list(painted))}")


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, help="written by circlemnist explore")
    path = parser.parse_args().page.resolve()
    page = start_browser()
    try:
        measure(page, path)
    finally:
        page.driver.quit()


if __name__ == "__main__":
    main()
