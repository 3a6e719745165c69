"""The pad of the explorer: what is drawn on it, and where that is said to lie."""

import json
import re
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from circlemnist.data.prepare import digits, placed, prepare
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.predict import load
from circlemnist.explorer.pad import hand
from circlemnist.models.embedder import embed
from circlemnist.plots.style import LIGHT
from circlemnist.runs.run import Run
from tests.conftest import invoke
from tests.explorer.browser import Page

SEVEN = [(0.25, 0.2), (0.5, 0.18), (0.75, 0.2), (0.65, 0.4), (0.5, 0.65), (0.42, 0.85)]
CROSS = [(0.35, 0.52), (0.7, 0.5)]
ONE = [(0.5, 0.15), (0.5, 0.5), (0.48, 0.85)]
CHECKED = 30  # images
TAB, ENTER = "\ue004", "\ue007"


def explore(run: Path, out: Path, *args: object) -> Path:
    """The page of a run."""
    result = invoke("explore", run, "--projection", "pca", "--out", out, *args)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def path(watched_run: Path) -> Path:
    """The page of a run with snapshots."""
    return explore(watched_run, watched_run / "pad.html")


@pytest.fixture
def pad(path: Path, page: Page) -> Page:
    """That page, opened anew."""
    page.open(path)
    return page


def prepared(page: Page) -> np.ndarray:
    """The (28, 28) image that the network was given."""
    pixels = page.ask(
        "[...document.getElementById('prepared').getContext('2d').getImageData(0, 0, 28, 28).data]"
    )
    return np.array(pixels, np.uint8).reshape(28, 28, 4)[..., 3]


def marks(page: Page) -> list[list[float]]:
    """Where the drawing is marked, on the screen; once for the rim and once for the mark."""
    boxes = page.each(".mark", "element.getBoundingClientRect()")
    return [[box["x"] + box["width"] / 2, box["y"] + box["height"] / 2] for box in boxes]


def expected(trained: EvaluatedRun, images: np.ndarray) -> list[dict[str, Any]]:
    """What is to be said of images (N, 28, 28) uint8, computed by torch; known as by `predict`."""
    config, arrays = trained.config, trained.report.arrays
    embeddings = embed(trained.embedder, torch.from_numpy(images), config.views)
    alike = trained.similarity.between(embeddings, torch.from_numpy(arrays.embeddings)).numpy()
    answers = []
    for row, said in zip(alike, load(trained.run.folder).predict(images), strict=True):
        near = np.argsort(-row, kind="stable")
        asked = near[trained.report.seen[near]][:20]
        votes = np.bincount(arrays.labels[asked])
        label = int(votes.argmax())
        verdict = {"label": label, "votes": int(votes[label]), "known": said.known}
        answers.append({"alike": row, "near": near, **verdict, "typicality": said.typicality})
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mouse", "pen", "touch"])
def test_drawing_lands_where_the_network_puts_it(kind: str, watched_run: Path, pad: Page) -> None:
    trained, page = EvaluatedRun(Run(watched_run)), pad
    page.errors()
    page.do("document.getElementById('follow').checked = false")
    page.do("explorer.time(2)")
    assert (page.text("verdict"), marks(page)) == ("", [])
    page.draw(SEVEN, CROSS, kind=kind)
    image = prepared(page)
    assert (image > 0).sum() > 50
    (wanted,) = expected(trained, image[None])
    verdict = f"{wanted['label']}, known" if wanted["known"] else "unknown"
    assert page.text("verdict") == verdict
    reason, number = f"{wanted['votes']} of 20 nearest are {wanted['label']}", r"(\d\.\d{3,9})"
    said = re.fullmatch(f"{reason}; typicality {number}, known above {number}", page.text("why"))
    assert said is not None
    assert float(said[1]) == pytest.approx(wanted["typicality"], abs=6e-4)
    assert float(said[2]) == pytest.approx(load(trained.run.folder).point().threshold, abs=6e-4)
    names = trained.report.arrays.labels[wanted["near"][:10]]
    assert page.each("#beside button", "element.textContent") == list(map(str, names))
    assert page.text("anchor-text").startswith(
        f"This drawing, taken for {wanted['label']}, is pushed"
    )
    # of all images, not of those of an earlier time
    assert page.text("caption") == "all images"
    place = np.mean([page.place(index) for index in wanted["near"][:10]], 0)
    np.testing.assert_allclose(marks(page), [place, place], atol=1)
    color = LIGHT.same if wanted["known"] else LIGHT.different
    for element, style in (("#verdict", "color"), (".mark:not(.rim)", "stroke")):
        found = page.ask(f"getComputedStyle(document.querySelector('{element}')).{style}")
        assert tuple(map(int, re.findall(r"\d+", found))) == tuple(bytes.fromhex(color[1:]))
    page.do("explorer.time(2)")
    assert marks(page) == []  # among points of an earlier time
    assert page.errors() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        "--unseen 3,0,8",
        "--dim 2 --views 3",
        "--dim 3 --fold 8 --hidden-layers 1",
        "--loss center --dim 16",
        "--net article --dim 32 --loss softmax",
    ],
)
def test_what_is_said_of_an_image_is_what_torch_says(
    settings: str, page: Page, tmp_path: Path
) -> None:
    args = ("--dataset", "digits", "--net", "tiny", "--epochs", 2, "--quiet", "--name", "run")
    result = invoke("train", *args, "--outputs", tmp_path, *settings.split())
    assert result.exit_code == 0, result.output
    page.open(explore(tmp_path / "run", tmp_path / "page.html"))
    trained = EvaluatedRun(Run(tmp_path / "run"))
    images = trained.dataset.test.images[: CHECKED // 2]
    images = torch.cat([images, images.flip(2)]).numpy()  # the latter of none of the points
    facts = json.loads(page.text("pad-facts"))
    assert facts["threshold"] == load(trained.run.folder).point().threshold
    judged = page.driver.execute_script(
        "return arguments[0].map((image) => [pad.judge(image), [...pad.embed(image).embedding]])",
        images.reshape(CHECKED, -1).tolist(),
    )
    wanted = expected(trained, images)
    embeddings = embed(trained.embedder, torch.from_numpy(images), trained.config.views).numpy()
    scale = max(1, np.abs(embeddings).max())
    np.testing.assert_allclose([found for _, found in judged], embeddings, atol=1e-4 * scale)
    size, places = page.ask("[explorer.facts.dimensions, [...explorer.facts.places.whole]]")
    places = np.reshape(places, (-1, size))
    for (found, _), one, embedding in zip(judged, wanted, embeddings, strict=True):
        assert len(found["near"]) == 10
        # those as near as these, but for the last digit that 16 bits keep
        np.testing.assert_allclose(
            one["alike"][found["near"]], one["alike"][one["near"][:10]], atol=2e-3 * scale
        )
        assert found["typicality"] == pytest.approx(one["typicality"], abs=1e-5)
        assert (found["kind"] == "known") == one["known"]
        known = " of known classes" if trained.config.unseen_classes else ""
        assert re.match(rf"\d+ of 20 nearest{known} are \d; ", found["reason"])
        assert found["label"] not in trained.config.unseen_classes
        exact = trained.config.dim <= 3 and trained.config.loss_info.on_sphere
        place = embedding if exact else places[found["near"]].mean(0)
        np.testing.assert_allclose(found["place"], place, atol=1e-3 * scale)
    if trained.config.net != "article":  # whose subspaces tell little
        assert {found["kind"] for found, _ in judged} == {"known", "unknown"}
    assert facts["known"] == [label not in trained.config.unseen_classes for label in range(10)]


@pytest.mark.slow
def test_strokes_are_undone_and_cleared_by_a_click_and_by_a_key(pad: Page) -> None:
    pad.click("#undo")
    pad.click("#clear")
    pad.draw(SEVEN)
    seven, said = prepared(pad), pad.text("verdict")
    pad.draw(CROSS)
    assert (prepared(pad) != seven).any()
    pad.click("#undo")
    np.testing.assert_array_equal(prepared(pad), seven)
    assert pad.text("verdict") == said
    pad.draw(CROSS)
    pad.do("document.getElementById('undo').focus()")
    pad.keys(ENTER)
    np.testing.assert_array_equal(prepared(pad), seven)
    pad.keys(TAB, ENTER)
    assert not prepared(pad).any()
    assert not pad.ask(
        "document.getElementById('paper').getContext('2d').getImageData(0, 0, 560, 560)"
        ".data.some((value) => value > 0)"
    )
    assert (pad.text("verdict"), marks(pad)) == ("", [])
    pad.keys(TAB, " ")
    assert not pad.ask("document.getElementById('follow').checked")
    assert pad.errors() == []


@pytest.mark.slow
def test_map_moves_to_the_drawing_if_it_is_to(pad: Page) -> None:
    whole = pad.ask("explorer.map.view")
    pad.click("#follow")
    pad.draw(SEVEN)
    assert pad.ask("explorer.map.view") == whole
    pad.click("#follow")
    pad.draw(CROSS)
    pad.until("explorer.map.view.zoom === 2 && !explorer.map.waiting")
    left, top, right, bottom = pad.box("#space")
    np.testing.assert_allclose(marks(pad)[0], [(left + right) / 2, (top + bottom) / 2], atol=1.5)
    pad.click("#clear")
    pad.until("explorer.map.view.zoom === 1")
    assert pad.ask("explorer.map.view") == whole


def prepare_js(page: Page, script: str, *arguments: object) -> Any:
    """What a script gives that has `prepare`, and nothing else of the page."""
    page.driver.get("data:text/html,")
    module = (files("circlemnist.explorer") / "prepare.js").read_text("utf-8")
    return page.driver.execute_script(f"{module}; {script}", *arguments)


def inks(page: Page, drawings: list[Any], box: int, pen: float) -> tuple[np.ndarray, np.ndarray]:
    """The ink of drawings, (N, H, H) in 0-1, and what the page makes of it, (N, 28, 28)."""
    found = prepare_js(
        page,
        """const [drawings, box, pen] = arguments;
        return drawings.map((strokes) => {
          const ink = prepare.ink(strokes, box, pen);
          return [[...ink.values], [...prepare.placed(ink, box)]];
        })""",
        drawings,
        box,
        pen,
    )
    ink, images = map(np.array, zip(*found, strict=True))
    side = round(ink.shape[1] ** 0.5)
    return ink.reshape(-1, side, side), images.reshape(-1, 28, 28)


def on_the_pad(*strokes: list[tuple[float, float]], size: float = 280) -> list[Any]:
    return [[[20 + size * x, 30 + size * y] for x, y in stroke] for stroke in strokes]


@pytest.mark.slow
def test_drawing_is_prepared_as_a_picture_of_it_is(page: Page) -> None:
    """Strokes of five drawings, a dot and a line; what rounds to the last bit may differ by one."""
    random = np.random.default_rng(0)
    scribbles = [on_the_pad([(*place,) for place in random.random((9, 2))]) for _ in range(4)]
    drawings = [on_the_pad(SEVEN, CROSS), on_the_pad(ONE), on_the_pad([(0.5, 0.5)]), *scribbles]
    ink, images = inks(page, drawings, 20, 2.6)
    assert images.max() == 255
    for drawing, found in zip(ink, images, strict=True):
        np.testing.assert_allclose(found, placed(drawing), atol=1)
        wanted = prepare((255 * (1 - drawing)).round().astype(np.uint8)).astype(int)
        if drawing.mean() < 0.3:  # more is not a clean drawing, of which the paper is known
            assert np.abs(found - wanted).mean() < 3


FIVE = [(0.2, 0.1), (0.18, 0.45), (0.4, 0.5), (0.38, 0.85), (0.15, 0.85)]
BAR = [(0.32, 0.1), (0.5, 0.08)]
UPRIGHT = [(0.8, 0.1), (0.78, 0.9)]
FOUR, STEM = [(0.25, 0.1), (0.1, 0.55), (0.42, 0.56)], [(0.5, 0.2), (0.48, 0.9)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strokes", "count"),
    [([SEVEN, CROSS], 1), ([UPRIGHT, FIVE, BAR], 2), ([FOUR, STEM], 1), ([FOUR, STEM, UPRIGHT], 2)],
)
def test_digits_side_by_side_are_those_of_a_picture_of_the_drawing(
    strokes: list[Any], count: int, page: Page
) -> None:
    ink, found = prepare_js(
        page,
        """const context = new OffscreenCanvas(280, 280).getContext("2d");
        prepare.trace(context, arguments[0], 18);
        const pixels = context.getImageData(0, 0, 280, 280).data;
        const ink = pixels.filter((_, place) => place % 4 === 3);
        return [[...ink], prepare.digits(arguments[0], 18)];
        """,
        [[[280 * x, 280 * y] for x, y in stroke] for stroke in strokes],
    )
    wanted = digits(255.0 - np.reshape(ink, (280, 280)))
    assert len(found) == len(wanted) == count
    for part, digit in zip(found, wanted, strict=True):
        points = np.concatenate(part)
        np.testing.assert_allclose([*points.min(0) - 9, *points.max(0) + 9], digit.box, atol=3)


@pytest.mark.slow
def test_two_digits_on_the_pad_are_said_in_order(pad: Page) -> None:
    pad.draw(UPRIGHT)
    one = pad.text("verdict")
    pad.draw(FIVE, BAR)
    _, *others = pad.text("verdict").split(" · ")
    assert others == [one]


@pytest.mark.slow
def test_pen_is_as_wide_as_it_is_to_be_however_large_the_drawing(page: Page) -> None:
    drawings = [on_the_pad(SEVEN), on_the_pad(SEVEN, size=60)]
    for wanted_box, wanted_pen in ((20, 2.6), (28, 6.0)):
        _, (first, second) = inks(page, drawings, wanted_box, wanted_pen)
        assert np.abs(first - second).mean() < 2
        box, pen = hand(first[None].astype(np.uint8))
        assert box == wanted_box
        assert pen == pytest.approx(wanted_pen, rel=0.15)


@pytest.mark.slow
def test_finger_draws_on_a_phone(path: Path, phone: Page) -> None:
    """The page does not scroll under the finger; map, pad and verdict are seen at once."""
    phone.open(path, width=None)
    phone.until("explorer.map.height < 330")
    phone.do("document.querySelector('#paper').scrollIntoView({block: 'end'})")
    before = phone.ask("scrollY")
    phone.draw(SEVEN, CROSS, kind="touch")
    assert phone.ask("scrollY") == before
    assert phone.ask("document.documentElement.scrollWidth") <= 390
    assert (prepared(phone) > 0).sum() > 50
    assert phone.text("verdict")
    seen = ".mark, #paper, #verdict, #beside"
    for box in phone.each(seen, "element.getBoundingClientRect()"):
        assert 0 <= box["left"] < box["right"] <= 390
        assert 0 <= box["top"] < box["bottom"] <= 844 + 1
    assert phone.errors() == []


@pytest.mark.slow
def test_run_without_its_checkpoint_has_a_page_without_a_pad(
    watched_run: Path, page: Page, tmp_path: Path
) -> None:
    folder = shutil.copytree(watched_run, tmp_path / "copy")
    (folder / "last.pt").unlink()
    page.errors()
    page.open(explore(folder, tmp_path / "page.html"))
    assert page.ask("document.getElementById('pad')") is None
    assert "There is no pad to draw on: " in page.ask("document.body.innerText")
    assert page.errors() == []


def test_hand_is_the_box_of_the_ink_and_the_width_of_its_strokes() -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    images[0, 4:24, 10:13] = 255
    images[1, 10:14, 2:24] = 200
    widths = 2 * 60 / 46, 2 * 88 / 52  # twice the area over the length of the edge
    assert hand(images[:1]) == pytest.approx((20, widths[0]), abs=0.15)
    assert hand(images) == pytest.approx((21, sum(widths) / 2), abs=0.2)
    images[:] = 255
    assert hand(images) == (28, 7)
