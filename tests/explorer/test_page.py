"""The page of the explorer: its file, and all that it does in a real browser."""

import io
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from circlemnist import CircleLoss
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.explorer.page import Space, explorer_html, space_of
from circlemnist.plots.style import DARK, LIGHT
from circlemnist.runs.checkpoint import load_checkpoint
from circlemnist.runs.run import Run
from tests.conftest import invoke
from tests.explorer.browser import Page
from tests.plots.figures import CLOTHES

pytestmark = pytest.mark.slow

ARROWS = {"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015"}
TAB, ENTER, ESCAPE, END, HOME = "\ue004", "\ue007", "\ue00c", "\ue010", "\ue011"


@pytest.fixture(scope="module")
def watched(watched_run: Path) -> Path:
    """A run with snapshots and its page."""
    page = watched_run / "plots" / "explorer.html"
    result = invoke("explore", watched_run)
    assert (result.exit_code, result.output) == (0, f"page: {page}\n")
    return watched_run


@pytest.fixture(scope="module")
def space(watched_run: Path) -> Space:
    """The page of a run, most of it made up: names, places, embeddings; a third is wrong."""
    space, _ = space_of(EvaluatedRun(Run(watched_run)), "pca")
    random, labels = np.random.default_rng(0), space.facts["labels"]
    made_up = {
        "names": CLOTHES,
        "predicted": np.where(random.random(len(labels)) < 1 / 3, (labels + 3) % 10, labels),
        "positions": random.normal(size=(len(labels), 2)).astype(np.float32),
        "pairs": random.uniform(-0.5, 1, size=(len(labels), 2)).astype(np.float32),
        "embeddings": random.normal(size=(len(labels), 4)).astype(np.float16),
        "scale": 1,
        "losses": [99.5 - number for number in range(len(space.facts["losses"]))],
    }
    return Space(space.facts | made_up, space.images, "the network is not here")


@pytest.fixture
def made(page: Page, space: Space, tmp_path: Path) -> tuple[dict[str, Any], Page]:
    """The facts of that page, and the page, opened anew."""
    page.scheme("light")
    open_space(page, space, tmp_path)
    return space.facts, page


def open_space(page: Page, space: Space, folder: Path, **facts: Any) -> None:
    path = folder / "page.html"
    path.write_text(explorer_html(Space(space.facts | facts, space.images, space.pad), "made"))
    page.open(path)


def screenshot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")


def rgb(color: str) -> np.ndarray:
    return np.array(list(bytes.fromhex(color[1:])))


def test_page_holds_all_it_needs(watched: Path) -> None:
    """The numbers of each time are those of the snapshots."""
    page, trained = watched / "plots" / "explorer.html", EvaluatedRun(Run(watched))
    html = page.read_text("utf-8")
    assert len(html) < 6e6
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', html)[1])  # type: ignore[index]
    snapshots, points = trained.snapshots, load_checkpoint(trained.run.checkpoint_file)["points"]
    assert facts["losses"][0] == pytest.approx(points[0][1])
    assert facts["losses"][-1] == pytest.approx(points[-1][1])
    labels = torch.from_numpy(snapshots.labels)
    for time_shown in (0, 7, -1):
        embeddings = torch.from_numpy(snapshots.embeddings[time_shown]).float()
        s = torch.nn.functional.normalize(embeddings) @ torch.nn.functional.normalize(embeddings).T
        same = (labels[:, None] == labels).numpy()
        means = facts["means"][:-1][time_shown]
        assert means["sp"] == pytest.approx(
            s.numpy()[same & ~np.eye(len(s), dtype=bool)].mean(), abs=0.01
        )
        assert means["sn"] == pytest.approx(s.numpy()[~same].mean(), abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_loads_without_errors_and_without_network(
    scheme: str, watched: Path, page: Page
) -> None:
    """In the colours that the system asks for."""
    page.errors()
    page.scheme(scheme)
    page.open(watched / "plots" / "explorer.html")
    assert page.ask("explorer.map.ids.length") == 360
    theme = {"light": LIGHT, "dark": DARK}[scheme]
    pixels = np.asarray(screenshot(page)).reshape(-1, 3)
    assert (pixels == rgb(theme.paper)).all(1).mean() > 0.5
    for color in theme.classes:  # of the legend
        assert (np.abs(pixels.astype(int) - rgb(color)).max(1) < 3).sum() > 20, color
    assert page.errors() == []
    assert page.requests() == []
    page.scheme("light")


@pytest.mark.parametrize("plot", ["map", "plane"])
def test_pointer_at_an_image_of_each_class_shows_it(plot: str, watched: Path, page: Page) -> None:
    """In either plot, and rings it in both."""
    page.open(watched / "plots" / "explorer.html")
    names = page.ask("explorer.facts.names")
    for label, name in enumerate(names):
        page.pointer(("move", 5, 5))
        index = page.ask(  # the pointer is at a whole pixel
            f"""(({{ ids, xs, ys, canvas }}) => {{
              const {{ x, y }} = canvas.getBoundingClientRect();
              const at = (i) => [Math.round(x + xs[i]) - x, Math.round(y + ys[i]) - y];
              return [...ids].find((id, i) => explorer.facts.labels[id] === {label}
                && explorer.{plot}.nearest(...at(i), 9) === id);
            }})(explorer.{plot})"""
        )
        page.pointer(("move", *page.place(index, plot)))
        page.until("!document.getElementById('card').hidden")
        said = page.ask("document.querySelector('#card p').textContent")
        assert re.fullmatch(rf"{name}(, taken for .+)? · image \d+", said), said
        assert int(said.rsplit(" ", 1)[1]) == index
        assert page.each(".here", "element.closest('.plot').id") == ["space", "plane"]
    page.pointer(("move", 5, 5))
    page.until("document.getElementById('card').hidden")


def shades(page: Page, canvas: str, x: int, y: int, size: int) -> np.ndarray:
    """The 28 × 28 shades, 0-15, of a square of a canvas."""
    data = page.ask(
        f"[...document.querySelector('{canvas}').getContext('2d')"
        f".getImageData({x}, {y}, {size}, {size}).data]"
    )
    places = ((np.arange(28) + 0.5) * size / 28).astype(int)
    return np.rint(np.array(data).reshape(size, size, 4)[np.ix_(places, places)][..., 3] / 17)


@pytest.mark.parametrize("index", [0, 99, 100, 249])
def test_card_shows_the_image_and_its_nearest(
    index: int, space: Space, made: tuple[dict[str, Any], Page]
) -> None:
    """And what a mistake is taken for; beside the pointer, in the window."""
    facts, page = made
    label, predicted = (labels[index] for labels in (facts["labels"], facts["predicted"]))
    for x, y in ((5, 5), (1270, 5), (5, 750), (1270, 750)):
        page.do(f"explorer.point({index}, {{clientX: {x}, clientY: {y}}})")
        left, top, right, bottom = page.box("#card")
        assert 0 <= left < right <= page.ask("innerWidth")
        assert 0 <= top < bottom <= page.ask("innerHeight")
        assert not (left <= x <= right and top <= y <= bottom)
    taken = f", taken for {CLOTHES[predicted]}" if label != predicted else ""
    said = page.ask("document.querySelector('#card p').textContent")
    assert said == f"{CLOTHES[label]}{taken} · image {index}"
    large = shades(page, "#card canvas", 0, 0, 84)
    np.testing.assert_array_equal(large, space.images[index] // 16)
    near = facts["neighbors"][index]
    for place, other in enumerate(near):
        small = shades(page, "#card canvas:nth-of-type(2)", 42 * place, 0, 42)
        assert (small == space.images[other] // 16).mean() > 0.9
    names = page.each(".near span", "element.textContent")
    assert names == [CLOTHES[facts["labels"][other]] for other in near]


def test_lasso_selects_what_is_within(space: Space, made: tuple[dict[str, Any], Page]) -> None:
    """By Shift and a drag: mistakes come first, with both classes; a click makes one the anchor."""
    facts, page = made
    labels, wrong = facts["labels"], facts["labels"] != facts["predicted"]
    left, top, right, bottom = page.box("#space")
    middle = round(left + 0.65 * (right - left))  # a whole pixel
    steps = np.linspace(0, 1, 10)
    down = [(middle, top + 3 + (bottom - top - 6) * share) for share in steps]
    page.drag(*down, *((right - 3, y) for _, y in down[::-1]), shift=True)
    xs = np.array([page.place(index)[0] for index in range(len(labels))])
    inside = np.flatnonzero(xs > middle)
    assert page.text("count") == f"{len(inside)} selected"
    counts = [f"{CLOTHES[label]}: {(labels[inside] == label).sum()}" for label in range(10)]
    assert page.text("counts") == " · ".join([*counts, f"mistakes: {wrong[inside].sum()}"])
    said = page.each("#sheet button", "element.ariaLabel")
    assert [int(re.search(r"image (\d+)", text)[1]) for text in said] == [  # type: ignore[index]
        *sorted(inside[wrong[inside]], key=lambda index: (labels[index], index)),
        *sorted(inside[~wrong[inside]], key=lambda index: (labels[index], index)),
    ]
    first = int(re.search(r"image (\d+)", said[0])[1])  # type: ignore[index]
    caption = f"{CLOTHES[labels[first]]} → {CLOTHES[facts['predicted'][first]]}"
    assert page.ask("document.querySelector('#sheet button').textContent") == caption
    np.testing.assert_array_equal(
        shades(page, "#sheet canvas", 0, 0, 28), space.images[first] // 16
    )
    page.click("#sheet button")
    page.until(f"document.getElementById('anchor-text').textContent.includes('image {first})')")
    page.click("#unselect")
    assert page.ask("document.getElementById('selection').hidden")
    # without Shift, and with a finger
    page.click(".tools[aria-label^=pair] button:last-child", "touch")
    left, top, right, bottom = page.box("#plane")
    path = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    page.drag(
        *((x + (3 if x == left else -3), y + (3 if y == top else -3)) for x, y in path),
        kind="touch",
    )
    assert page.text("count") == f"{len(labels)} selected, 200 of them shown"
    shown = page.each("#sheet button", "element.ariaLabel")
    assert len(shown) == 200
    sample = [labels[int(re.search(r"image (\d+)", text)[1])] for text in shown[wrong.sum() :]]  # type: ignore[index]
    even = np.bincount(labels[~wrong]) * len(sample) / (~wrong).sum()
    assert np.ptp(np.bincount(sample) - even) < 2


def test_filters_let_through_what_is_asked_for(made: tuple[dict[str, Any], Page]) -> None:
    """A search for the beginning of names in any case and for images; a class that is hidden."""
    facts, page = made
    labels, wrong = facts["labels"], facts["labels"] != facts["predicted"]
    everything = np.arange(len(labels))

    def check(shown: np.ndarray) -> None:
        for plot in ("map", "plane"):
            drawn = f"[...explorer.{plot}.ids].filter((_, i) => !isNaN(explorer.{plot}.xs[i]))"
            assert page.ask(drawn) == np.flatnonzero(shown).tolist()
        said = page.ask("document.getElementById('shown').value")
        assert said.startswith(
            f"{shown.sum()} of {len(shown)} images" if shown.any() else "Nothing matches"
        )

    def names(text: str) -> np.ndarray:
        return np.array([name.lower().startswith(text) for name in CLOTHES])[labels]

    for text, wanted in (
        ("S", names("s")),
        ("shirt, t-s", names("shirt") | names("t-s")),
        ("#42, 7", np.isin(everything, [42, 7])),
        ("bag,#3", names("bag") | (everything == 3)),
        ("irt", np.zeros(len(labels), bool)),
        ("360", np.zeros(len(labels), bool)),
    ):
        page.do("document.getElementById('search').select()")
        page.driver.find_element("id", "search").clear()
        page.driver.find_element("id", "search").send_keys(text)
        for only in (True, False):
            page.click("#mistakes")
            check(wanted & (wrong | (not only)))
    page.driver.find_element("id", "search").send_keys("\b" * 9)
    page.click("#legend button:nth-child(5)")
    assert page.ask("document.querySelectorAll('#legend button')[4].ariaPressed") == "false"
    check(labels != 4)
    page.click("#legend button:nth-child(5)")
    check(everything >= 0)


def test_page_of_a_hundred_classes_and_of_center_loss(
    space: Space, page: Page, tmp_path: Path
) -> None:
    """Four shapes tell classes of a colour apart; the search leaves its own in the legend."""
    leaves = {"names": [f"leaf {label}" for label in range(100)], "labels": np.arange(360) % 100}
    boundary = {"name": "none", "m": 0, "lines": []}
    page.errors()
    open_space(page, space, tmp_path, **leaves, boundary=boundary, gamma=None)
    looks = page.each("#legend i", "element.style.background + element.dataset.shape")
    assert len(looks) == 100
    assert len(set(looks[:40])) == 40
    assert looks[40:80] == looks[:40]
    _, top, _, bottom = page.box("#legend")
    assert bottom - top <= 0.31 * page.ask("innerHeight")
    page.driver.find_element("id", "search").send_keys("leaf 4")
    shown = page.each("#legend button:not([hidden])", "element.textContent")
    assert shown == ["leaf 4", *(f"leaf {label}" for label in range(40, 50))]
    page.do("explorer.choose(4)")
    assert page.text("means").startswith("mean s_p ")
    assert page.text("anchor-text").startswith("This leaf 4, and the pairs that are hardest")
    page.do("anchor.showVector(anchor.vectorOf(5), 5)")
    assert page.text("anchor-text").startswith("This drawing, taken for leaf 5, and the pairs")
    assert page.ask("document.querySelectorAll('.boundary, .arrow').length") == 0
    assert page.errors() == []


def test_slider_shows_each_time_and_then_all(made: tuple[dict[str, Any], Page]) -> None:
    """By keys: both plots, what is read off the pairs, and the loss."""
    facts, page = made
    page.do("document.getElementById('slider').focus()")
    end = len(facts["losses"])
    for key, shown in ((HOME, 0), (ARROWS["right"], 1), (END, end), (ARROWS["left"], end - 1)):
        page.keys(key)
        last, caption = shown == end, facts["captions"][shown]
        said = caption if last else f"{caption}, loss {99.5 - shown:.1f}"
        assert page.text("caption") == said
        assert page.ask("document.getElementById('slider').ariaValueText") == caption
        means = facts["means"][shown]
        assert page.text("means") == (
            f"{100 * means['outside']:.1f} % of pairs outside the circle, "
            f"mean s_p {means['sp']:.2f}, mean s_n {means['sn']:.2f}".replace("-", "−")
        )
        wanted = facts["positions"], facts["pairs"]
        if not last:
            wanted = facts["moving_positions"][shown], facts["moving_pairs"][shown]
        for plot, places in zip(("map", "plane"), wanted, strict=True):
            assert page.ask(f"explorer.{plot}.ids.length") == len(places)
            np.testing.assert_allclose(
                page.ask(f"[...explorer.{plot}.data]"), places.ravel(), rtol=1e-6
            )


def test_play_pauses_and_goes_on_where_it_was(made: tuple[dict[str, Any], Page]) -> None:
    _, page = made
    page.do("document.getElementById('speed').value = '0.5'")
    page.click("#play")
    assert page.text("play") == "Pause"
    page.until("explorer.step === 2")
    page.click("#play")
    assert page.text("play") == "Play"
    step = page.ask("explorer.step")
    time.sleep(0.5)
    assert page.ask("explorer.step") == step
    page.do(
        "window.steps = []; document.getElementById('speed').value = '2';"
        "new MutationObserver(() => steps.push(explorer.step))"
        ".observe(document.getElementById('caption'), {childList: true})"
    )
    page.click("#play")
    page.until("explorer.step === explorer.last")
    assert page.text("play") == "Play"
    time.sleep(0.3)
    assert page.ask("steps") == list(
        range(step + 1, page.ask("explorer.last") + 1)
    )  # and no further
    page.click("#play")  # from the end it begins anew
    page.until("steps.includes(0)")


def test_anchor_has_the_gradients_of_the_loss(made: tuple[dict[str, Any], Page]) -> None:
    """A click shows the pairs of a point: the weights of Eqs. 9 and 10, by autograd."""
    facts, page = made
    x = page.ask("[...anchor.stored()]")
    gallery = torch.tensor(x, dtype=torch.float64).reshape(len(facts["labels"]), -1)
    labels = torch.from_numpy(facts["labels"])
    for index in (0, 57, 120):
        page.pointer(("click", *page.place(index)))
        page.until(f"document.getElementById('anchor-text').textContent.includes('image {index})')")
        own = gallery / gallery.norm(dim=1, keepdim=True)
        s = (own @ own[index]).requires_grad_()
        loss = CircleLoss(40, 0.028, normalize=False)(
            torch.ones(1, 1, dtype=torch.float64),
            labels[index : index + 1],
            s[:, None],
            labels,
            torch.tensor([index]),
        )
        (gradient,) = torch.autograd.grad(loss, s)
        sides = page.ask(
            f"anchor.pairsOf(anchor.vectorOf({index}), {int(labels[index])}, {index}).sides"
        )
        of_class = set(np.flatnonzero(labels == labels[index]).tolist())
        pairs = {-1: of_class - {index}, 1: {*range(len(labels))} - of_class}
        for sign, side in zip((-1, 1), sides, strict=True):
            assert {pair["index"] for pair in side} == pairs[sign]
            for pair in side:
                assert pair["weight"] == pytest.approx(
                    sign * float(gradient[pair["index"]]), abs=0.01
                )
                assert pair["s"] == pytest.approx(float(s[pair["index"]]), abs=1e-3)
        different = labels != labels[index]
        pushed = int((gradient * different).argmax())
        pulled = int((-gradient * ~different).argmax())
        said = page.text("anchor-text")
        assert said.startswith(
            f"This {CLOTHES[labels[index]]} is pushed by this {CLOTHES[labels[pushed]]} with "
            f"{gradient[pushed]:.0f} and pulled by this {CLOTHES[labels[pulled]]} with "
            f"{-gradient[pulled]:.0f}."
        ), said
        hardest = page.each("#hardest button", "element.ariaLabel")
        assert [
            f"image {image}," in text
            for image, text in zip((index, pushed, pulled), hardest, strict=True)
        ] == [True] * 3
        assert page.ask("document.querySelectorAll('#plane .arrow').length") <= 1
    # a neighbour by its picture
    page.click("#near button")
    neighbor = facts["neighbors"][120][0]
    page.until(f"document.getElementById('anchor-text').textContent.includes('image {neighbor})')")


def test_sphere_turns_by_a_drag_and_by_itself(space: Space, page: Page, tmp_path: Path) -> None:
    """A point at the front goes along with the pointer; those at the back are not pointed at."""
    x = np.random.default_rng(0).normal(size=(360, 3)).astype(np.float32)
    positions = x / np.linalg.norm(x, axis=1, keepdims=True)
    open_space(page, space, tmp_path, dimensions=3, positions=positions)
    front = page.ask(
        "[...explorer.map.ids].filter((id) => explorer.map.at(explorer.map.place(id))[2] > 0.9)"
    )
    seen = page.ask("[...explorer.map.ids].filter((_, i) => !isNaN(explorer.map.xs[i]))")
    assert set(front) < set(seen) < set(range(360))
    before = page.place(front[0])
    left, top, right, bottom = page.box("#space")
    x, y = (left + right) / 2, (top + bottom) / 2
    page.drag((x, y), (x + 30, y + 10), (x + 60, y + 20))
    moved = np.subtract(page.place(front[0]), before)
    assert 30 < moved[0] < 130
    assert moved[1] > 5
    yaw = page.ask("explorer.map.yaw")
    page.click(".tools[aria-label=map] button:last-child")
    page.until(f"explorer.map.yaw > {yaw} + 0.05")
    page.click(".tools[aria-label=map] button:last-child")
    still = page.ask("explorer.map.yaw")
    time.sleep(0.2)
    assert page.ask("explorer.map.yaw") == still


def test_everything_is_done_by_keys(made: tuple[dict[str, Any], Page]) -> None:
    facts, page = made
    page.do("document.getElementById('search').focus()")
    order = ["search", "mistakes", "select", *CLOTHES, "+", "−", "Whole", "Lasso", "space", "play"]
    for name in order:
        own = page.ask("[document.activeElement.id, document.activeElement.textContent]")
        assert name in own, (name, own)
        page.keys(TAB)
    for plot in ("space", "plane"):
        page.do(f"document.getElementById('{plot}').focus()")
        pointed = []
        for key in (ARROWS["right"], ARROWS["right"], ARROWS["up"], ARROWS["left"], ARROWS["down"]):
            page.keys(key)
            said = page.ask("document.querySelector('#card p').textContent")
            pointed.append(int(said.rsplit(" ", 1)[1]))
        name = {"space": "map", "plane": "plane"}[plot]
        places = [page.place(index, name) for index in pointed]
        assert len(set(pointed)) > 3
        assert places[1][0] > places[0][0]
        assert places[2][1] < places[1][1]
        assert places[3][0] < places[2][0]
        assert places[4][1] > places[3][1]
        page.keys(ENTER)
        assert f"image {pointed[-1]})" in page.text("anchor-text")
        page.keys("+")
        page.until(f"explorer.{name}.view.zoom === 1.5")
        page.keys("0", ESCAPE)
        assert page.ask(f"explorer.{name}.view.zoom") == 1
        assert page.ask("document.getElementById('anchor-details').hidden")
    page.do("document.querySelector('#legend button').focus()")
    page.keys(" ")
    page.do("document.getElementById('select').focus()")
    page.keys(ENTER)
    assert page.text("count").startswith(f"{(facts['labels'] != 0).sum()} selected")
    page.do("document.querySelector('#sheet button').focus()")
    page.keys(ENTER)
    assert not page.ask("document.getElementById('anchor-details').hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible(scheme: str, watched: Path, page: Page, phone: Page) -> None:
    for where, width in ((page, 1300), (phone, None)):
        where.scheme(scheme)
        where.open(watched / "plots" / "explorer.html", width)
        assert where.findings() == []
        where.do("explorer.choose(3); explorer.select([...Array(300).keys()])")
        where.draw([(0.2, 0.2), (0.8, 0.2), (0.4, 0.9)])
        where.do("explorer.time(2); explorer.point(9, {clientX: 9, clientY: 9})")
        where.driver.find_element("id", "search").send_keys("none")
        assert where.findings() == []
        where.scheme("light")


@pytest.mark.parametrize("width", [390, 768, 1300, 1920])
def test_all_is_seen_and_the_circle_is_round(
    width: int, watched: Path, page: Page, phone: Page
) -> None:
    where = phone if width == 390 else page
    where.open(watched / "plots" / "explorer.html", None if width == 390 else width)
    where.do("explorer.choose(3); explorer.select([...Array(300).keys()]); explorer.time(2)")
    assert where.ask("document.documentElement.scrollWidth") <= width
    beyond = where.ask(
        """[...document.querySelectorAll("main *")].filter((element) => {
          const { left, right, width } = element.getBoundingClientRect();
          return !element.closest(".plot svg") && width && (left < 0 || right > innerWidth);
        }).map((element) => element.outerHTML.slice(0, 80))"""
    )
    assert beyond == []
    left, top, right, bottom = where.box("#plane")
    assert right - left == pytest.approx(bottom - top, abs=1)
    (x, y), (x1, _), (_, y1) = where.ask(
        "[[0, 0], [0.5, 0], [0, 0.5]].map((place) => explorer.plane.at(place).slice(0, 2))"
    )
    assert x1 - x == pytest.approx(y - y1)
    xs, ys = where.ask("[[...explorer.plane.xs], [...explorer.plane.ys]]")
    assert 0 <= min(xs + ys) < max(xs + ys) <= right - left  # every pair is on it


def test_finger_taps_and_swipes(watched: Path, phone: Page) -> None:
    """A tap shows the image and makes it the anchor; a swipe leaves the map as it is."""
    phone.open(watched / "plots" / "explorer.html", width=None)
    view = phone.ask("explorer.map.view")
    for index in (7, 100, 200, 300):
        place = phone.place(index)
        phone.pointer(("click", *place), kind="touch")
        phone.until("!document.getElementById('card').hidden")
        said = phone.ask("document.querySelector('#card p').textContent")
        found = int(said.rsplit(" ", 1)[1])
        assert np.hypot(*np.subtract(phone.place(found), place)) < 2
        assert f"image {found})" in phone.text("anchor-text")
        left, _, right, _ = phone.box("#card")
        assert 0 <= left < right <= 390
    x, y = phone.place(7)
    phone.drag((x, y), (x, y - 60), (x + 5, y - 120), kind="touch")
    assert phone.ask("explorer.map.view") == view
    phone.pointer(("click", 20, 20), kind="touch")
    phone.until("document.getElementById('card').hidden")
