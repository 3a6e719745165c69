"""The page of the explorer: its file, and all that it does in a real browser."""

import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from circlemnist.explorer.map import Frames, Space, pair_places
from circlemnist.explorer.page import explorer_html
from circlemnist.plots.points import Points
from circlemnist.plots.style import LIGHT
from tests.conftest import invoke
from tests.explorer.browser import Page, start_browser
from tests.plots.figures import CLOTHES

pytestmark = pytest.mark.slow

PAPER, INK = 255, 26  # the red of the light theme


@pytest.fixture(scope="module")
def watched(watched_run: Path) -> Path:
    """A run with snapshots and its pages, light and dark."""
    page = watched_run / "plots" / "explorer.html"
    result = invoke("explore", watched_run)
    assert (result.exit_code, result.output) == (0, f"page: {page}\n")
    dark = watched_run / "dark.html"
    assert invoke("explore", watched_run, "--theme", "dark", "--out", dark).exit_code == 0
    return watched_run


def test_page_holds_all_it_needs(watched: Path) -> None:
    page = (watched / "plots" / "explorer.html").read_text("utf-8")
    assert len(page) < 15e6
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', page)[1])  # type: ignore[index]
    with np.load(watched / "embeddings.npz") as arrays:
        assert facts["labels"] == arrays["labels"].tolist()
        assert facts["predicted"] == arrays["neighbor_labels"][:, 0].tolist()
        s = arrays["embeddings"].astype(float) @ arrays["embeddings"].T.astype(float)
    np.fill_diagonal(s, -2)
    shown = np.take_along_axis(s, np.array(facts["neighbors"]).reshape(360, 5), 1)
    np.testing.assert_allclose(shown, -np.sort(-s, 1)[:, :5], atol=1e-6)


def counts(page: Page) -> list[int]:
    """How many points of each class are let through, where the class is shown."""
    found: list[int] = page.ask(
        f"""{page.model("space")}.renderers
          .filter((dots) => dots.view.filter.operands && dots.visible)
          .map((dots) => dots.view.filter.operands[0].indices.length)"""
    )
    return found


@pytest.mark.parametrize("theme", ["dark.html", "plots/explorer.html"])
def test_page_loads_without_errors_and_without_network(
    theme: str, watched: Path, page: Page
) -> None:
    page.errors()
    page.driver.get_log("performance")
    page.open(watched / theme)
    assert page.ask(f"{page.model('points')}.data.x.length") == 360
    assert sum(counts(page)) == 360
    assert page.errors() == []
    messages = [
        json.loads(line["message"])["message"] for line in page.driver.get_log("performance")
    ]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), asked


def test_points_are_on_the_screen(watched: Path, page: Page) -> None:
    """The colour of a class is seen where its points are, and nothing is wider than the window."""
    for width in (800, 1280):
        page.open(watched / "plots" / "explorer.html", width)
        time.sleep(1)
        x, y = page.place(0)
        around = screenshot(page).crop((round(x) - 1, round(y) - 1, round(x) + 2, round(y) + 2))
        pixels = np.asarray(around).astype(int).reshape(9, 3)
        assert ((np.ptp(pixels, 1) > 20) | (pixels.max(1) < 100)).any(), pixels
        assert page.ask("document.documentElement.scrollWidth") <= width


def screenshot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")


def point_until_shown(page: Page, index: int, kind: str) -> tuple[tuple[float, float], str]:
    """Point at an image until its card is there: a page that is still settling does not feel it.

    Returns the place on the screen and what the card says.
    """
    for _ in range(10):
        x, y = page.place(index)
        steps = [("click", x, y)] if kind == "touch" else [("move", x - 40, y), ("move", x, y)]
        page.pointer(*steps, kind=kind)
        time.sleep(0.5)
        if page.ask("!document.getElementById('card').hidden"):
            break
    return (x, y), page.ask("document.querySelector('#card p').textContent")


def test_hover_shows_an_image_at_the_pointer(watched: Path, page: Page) -> None:
    page.open(watched / "plots" / "explorer.html")
    place, text = point_until_shown(page, 7, "mouse")
    index = int(text.rsplit(" ", 1)[1])
    names, labels = page.ask("[explorer.facts.names, explorer.facts.labels]")
    assert text.startswith(names[labels[index]])
    assert np.hypot(*np.subtract(page.place(index), place)) < 8


MADE, MOVING, TIMES = 250, 30, 4
SPACE = Page(None).view("space")
LEGEND = f"""(() => {{
  const root = {SPACE}, legend = root.model.right[0];
  const walk = (view) => view.model === legend ? view
    : [...view.children()].map(walk).find(Boolean);
  const {{ left, top, right, bottom }} = walk(root).el.getBoundingClientRect();
  return [left, top, right, bottom];
}})()"""


def made_space() -> Space:
    """Images of noise in 16 shades, so that each is told from any other, with a third wrong."""
    random = np.random.default_rng(0)
    labels = np.arange(MADE) % 10
    directions = random.normal(size=(MADE, 4))
    return Space(
        points=Points(random.normal(size=(MADE, 2)), labels, CLOTHES),
        predicted=np.where(random.random(MADE) < 1 / 3, (labels + 3) % 10, labels),
        images=random.integers(16, size=(MADE, 28, 28)).astype(np.uint8) * 16,
        directions=directions / np.linalg.norm(directions, axis=1, keepdims=True),
        neighbors=random.integers(MADE, size=(MADE, 5)),
        boundary=[np.array([[0, 0], [1, 1]])],
        frames=Frames(
            [f"time {number}" for number in range(TIMES)],
            Points(random.normal(size=(TIMES, MOVING, 2)), labels[5 : MOVING + 5], CLOTHES),
            np.arange(5, MOVING + 5),
        ),
    )


@pytest.fixture(scope="module")
def made(page: Page, tmp_path_factory: pytest.TempPathFactory) -> tuple[Space, Page]:
    """A page of what is known to the last pixel, open."""
    space, path = made_space(), tmp_path_factory.mktemp("made") / "page.html"
    path.write_text(explorer_html(space, "made", LIGHT), "utf-8")
    page.open(path)
    return space, page


def shown(page: Page, canvas: str, x: int, y: int, size: int) -> np.ndarray:
    """The 28 × 28 shades, 0-15, of a square of a canvas; what is not drawn is -1."""
    data = page.ask(
        f"[...document.querySelector('{canvas}').getContext('2d')"
        f".getImageData({x}, {y}, {size}, {size}).data]"
    )
    pixels = np.array(data).reshape(size, size, 4)
    places = ((np.arange(28) + 0.5) * size / 28).astype(int)
    red, alpha = (pixels[np.ix_(places, places)][..., channel] for channel in (0, 3))
    shades = np.rint(15 * (PAPER - red) / (PAPER - INK)).astype(int)
    return np.where(alpha == 255, shades, -1)


def test_pair_plane_has_s_n_to_the_right_and_s_p_upward(made: tuple[Space, Page]) -> None:
    space, page = made
    data, dots = f"{page.model('points')}.data", f"{page.model('pair_plane')}.renderers[0].glyph"
    assert page.ask(f"[{dots}.x.field, {dots}.y.field]") == ["sn", "sp"]
    found = page.ask(f"[[...{data}.sn], [...{data}.sp]]")
    np.testing.assert_allclose(found, pair_places(space.directions, space.points.labels), rtol=1e-5)


@pytest.mark.parametrize("index", [0, 99, 100, 249])
def test_card_shows_the_image_and_its_nearest(index: int, made: tuple[Space, Page]) -> None:
    """And what a mistake is taken for."""
    space, page = made
    label, predicted = (labels[index] for labels in (space.points.labels, space.predicted))
    page.do(f"explorer.card({index})")
    assert not page.ask("document.getElementById('card').hidden")
    taken = f", taken for {CLOTHES[predicted]}" if label != predicted else ""
    said = page.ask("document.querySelector('#card p').textContent")
    assert said == f"{CLOTHES[label]}{taken} · image {index}"
    large = shown(page, "#card canvas", 0, 0, 84)
    np.testing.assert_array_equal(large, space.images[index] // 16)
    near = space.neighbors[index]
    for place, other in enumerate(near):
        small = shown(page, "#card canvas:nth-of-type(2)", 42 * place, 0, 42)
        assert (small == space.images[other] // 16).mean() > 0.9
    names = page.ask("[...document.querySelectorAll('.near span')].map((name) => name.textContent)")
    assert names == [CLOTHES[space.points.labels[other]] for other in near]
    page.do("explorer.card(null)")
    assert page.ask("document.getElementById('card').hidden")


@pytest.mark.parametrize("corner", [(5, 5), (1270, 5), (5, 750), (1270, 750)])
def test_card_is_beside_the_pointer_in_the_window(
    corner: tuple[int, int], made: tuple[Space, Page]
) -> None:
    _, page = made
    page.do(
        "document.dispatchEvent(new PointerEvent('pointermove', "
        f"{{clientX: {corner[0]}, clientY: {corner[1]}}})); explorer.card(0)"
    )
    left, top, right, bottom, width, height = page.ask(
        "(() => { const box = document.getElementById('card').getBoundingClientRect();"
        "return [box.left, box.top, box.right, box.bottom, innerWidth, innerHeight]; })()"
    )
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert not (left <= corner[0] <= right and top <= corner[1] <= bottom)
    if corner == (5, 5):  # where there is room, to the lower right
        assert (left, top) == (23, 23)


def test_sheet_shows_what_is_selected_in_its_order(made: tuple[Space, Page]) -> None:
    space, page = made
    chosen = np.random.default_rng(1).permutation(MADE)
    for count, said in (
        (0, "Nothing selected"),
        (1, "1 selected"),
        (20, "20 selected"),
        (200, "200 selected"),
        (201, "201 selected, the first 200 of them"),
    ):
        page.do(f"explorer.sheet({chosen[:count].tolist()})")
        assert page.ask("document.getElementById('count').textContent") == said
        for place in {0, 13, 14, count - 1} & set(range(min(count, 200))):
            x, y = 32 * (place % 14) + 2, 32 * (place // 14) + 2
            found = shown(page, "#sheet", x, y, 28)
            np.testing.assert_array_equal(found, space.images[chosen[place]] // 16)


def test_selection_is_of_what_is_shown(made: tuple[Space, Page]) -> None:
    """A lasso over the points of an earlier time selects none of those that are hidden."""
    space, page = made
    assert space.frames is not None
    said = "document.getElementById('count').textContent"
    page.do(f"{page.model('slider')}.value = 1")
    page.do(f"{page.model('moving')}.selected.indices = [7, 2]")
    page.do(f"{page.model('points')}.selected.indices = [1]")
    page.do(f"{page.model('points')}.selected.indices = []")
    page.do(f"{page.model('moving')}.selected.indices = [7, 2, 3]")
    assert page.ask(said) == "3 selected"
    found = shown(page, "#sheet", 2, 2, 28)
    np.testing.assert_array_equal(found, space.images[space.frames.indices[7]] // 16)
    page.do(f"{page.model('slider')}.value = {TIMES}")
    assert page.ask(f"{page.model('moving')}.selected.indices") == []
    page.do(f"{page.model('points')}.selected.indices = [1, 5]")
    assert page.ask(said) == "2 selected"
    page.do(f"{page.model('points')}.selected.indices = []")
    assert page.ask(said) == "Nothing selected"


def test_filters_let_through_what_is_asked_for(made: tuple[Space, Page]) -> None:
    """A search for the beginning of names in any case; rings are about the mistakes among it."""
    space, page = made
    labels, wrong = space.points.labels, space.points.labels != space.predicted

    def check(kept: np.ndarray, shown: np.ndarray) -> None:
        """Of the dots by class, the rings, and the points of an earlier time."""
        filters = f"{page.model('space')}.renderers.map((dots) => dots.view.filter).slice(0, 12)"
        found = page.ask(f"{filters}.map((filter) => (filter.operands?.[0] ?? filter).indices)")
        *classes, rings, moved = found
        assert classes == [np.flatnonzero(kept & (labels == label)).tolist() for label in range(10)]
        assert rings == np.flatnonzero(kept & shown & wrong).tolist()
        assert moved == np.flatnonzero((kept & shown)[5 : MOVING + 5]).tolist()

    every = np.ones(MADE, bool)
    for text in ("S", " shirt ", "t-s", "irt", "trouserr", ""):
        for only in (True, False):
            page.do(f"{page.model('search')}.value_input = '{text}'")
            page.do(f"{page.model('mistakes')}.active = {str(only).lower()}")
            wanted = np.array([name.lower().startswith(text.strip().lower()) for name in CLOTHES])
            check(wanted[labels] & (wrong | (not only)), every)
    page.do(f"{page.model('space')}.renderers[4].visible = false")
    check(every, labels != 4)
    page.do(f"{page.model('space')}.renderers[4].visible = true")
    check(every, every)


def test_slider_shows_each_time_and_then_all(made: tuple[Space, Page]) -> None:
    space, page = made
    assert space.frames is not None
    renderers = f"{page.model('space')}.renderers"
    for time_shown in (1, TIMES, 3, 0, TIMES):
        page.do(f"{page.model('slider')}.value = {time_shown}")
        last = time_shown == TIMES
        caption = "all images" if last else f"time {time_shown}"
        assert page.ask(f"{page.model('caption')}.text") == caption
        assert page.ask(f"[{renderers}[10].visible, {renderers}[11].visible]") == [last, not last]
        gate = page.ask(f"{renderers}[0].view.filter.operands[1].indices")
        assert gate == (list(range(MADE)) if last else [])
        if not last:
            data = f"{page.model('moving')}.data"
            found = page.ask(f"[[...{data}.x], [...{data}.y]]")
            wanted = space.frames.points.positions[time_shown].T.astype(np.float32)
            np.testing.assert_array_equal(np.float32(found), wanted)


def test_legend_has_the_colours_of_the_classes_at_every_time(made: tuple[Space, Page]) -> None:
    _, page = made
    for step in (TIMES, 1):
        page.do(f"{page.model('slider')}.value = {step}")
        time.sleep(0.5)
        colors = screenshot(page).crop(tuple(map(int, page.ask(LEGEND)))).getcolors(99_999)
        assert colors is not None
        seen = {color for _, color in colors}
        for color in LIGHT.classes:
            wanted = np.array(list(bytes.fromhex(color[1:])))
            assert min(np.abs(np.array(each) - wanted).max() for each in seen) < 70, (step, color)
    page.do(f"{page.model('slider')}.value = {TIMES}")


def test_a_tap_shows_the_image(watched: Path) -> None:
    """Within the window of a phone; a tap elsewhere takes it away."""
    phone = start_browser(phone=True)
    try:
        phone.open(watched / "plots" / "explorer.html", width=None)
        for index in (7, 100, 200, 300):
            place, said = point_until_shown(phone, index, "touch")
            found = phone.place(int(said.rsplit(" ", 1)[1]))
            assert np.hypot(*np.subtract(found, place)) < 2
        left, right = phone.ask(
            "(({left, right}) => [left, right])"
            "(document.getElementById('card').getBoundingClientRect())"
        )
        assert 0 <= left < right <= 390
        phone.pointer(("click", 20, 20), kind="touch")
        phone.until("document.getElementById('card').hidden")
    finally:
        phone.driver.quit()


def test_play_goes_through_every_time_once(made: tuple[Space, Page]) -> None:
    _, page = made
    slider, play = page.model("slider"), page.model("play")
    page.do(
        f"window.seen = []; {slider}.value = 2;"
        f"{slider}.properties.value.change.connect(() => seen.push({slider}.value));"
        f"{play}.active = true"
    )
    page.until(f"!{play}.active")
    time.sleep(0.4)  # and no further
    assert page.ask("seen") == list(range(TIMES + 1))


def test_click_on_the_legend_hides_a_class(watched: Path, page: Page) -> None:
    page.open(watched / "plots" / "explorer.html")
    time.sleep(1)
    left, top, right, bottom = page.ask(LEGEND)
    before = counts(page)
    page.pointer(("click", (left + right) / 2, top + (bottom - top) * 0.15))
    hidden = "{}.renderers.filter((renderer) => !renderer.visible).length"
    # its key in the legend, and the points that move, are hidden as well
    page.until(f"{hidden.format(page.model('space'))} === 3")
    assert len(counts(page)) == len(before) - 1
    assert page.ask(hidden.format(page.model("pair_plane"))) == 1


def test_lasso_selects_what_is_within(watched: Path, page: Page) -> None:
    page.open(watched / "plots" / "explorer.html")
    plot = page.model("space")
    page.do(
        f"{plot}.toolbar.active_drag ="
        f" {plot}.toolbar.tools.find((tool) => tool.type === 'LassoSelectTool')"
    )
    x, y, width, height = page.ask(
        f"""(() => {{
          const view = {page.view("space")}, box = view.el.getBoundingClientRect();
          const inner = view.frame.bbox;
          return [box.x + inner.left + 3, box.y + inner.top + 3, inner.width - 6, inner.height - 6];
        }})()"""
    )
    corners = [(0, 0), (0.5, 0), (1, 0), (1, 0.5), (1, 1), (0.5, 1), (0, 1), (0, 0.5), (0, 0.02)]
    first, *path, last = [(x + width * i, y + height * j) for i, j in corners]
    moves = [("move", *place) for place in path]
    page.pointer(("pointer_down", *first), *moves, ("pointer_up", *last))
    page.until(f"{page.model('points')}.selected.indices.length > 300")
    page.until("document.getElementById('count').textContent.endsWith('the first 200 of them')")
