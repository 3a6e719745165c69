"""The pad of the explorer: what is drawn on it, and where that is said to lie."""

import base64
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
from circlemnist.explorer.pad import Pad, hand, pad_of
from circlemnist.models.embedder import embed
from circlemnist.plots.style import DARK, LIGHT
from circlemnist.runs.run import Run
from tests.conftest import invoke
from tests.explorer.browser import Page

SEVEN = [(0.25, 0.2), (0.5, 0.18), (0.75, 0.2), (0.65, 0.4), (0.5, 0.65), (0.42, 0.85)]
CROSS = [(0.35, 0.52), (0.7, 0.5)]
ONE = [(0.5, 0.15), (0.5, 0.5), (0.48, 0.85)]
CHECKED = 30  # images


def explore(run: Path, out: Path, *args: object) -> Path:
    """The page of a run."""
    result = invoke("explore", run, "--projection", "pca", "--out", out, *args)
    assert result.exit_code == 0, result.output
    return out


def trained_run(folder: Path, *settings: object) -> Path:
    args = ("--dataset", "digits", "--net", "tiny", "--quiet", *settings)
    result = invoke("train", *args, "--outputs", folder, "--name", "run")
    assert result.exit_code == 0, result.output
    return folder / "run"


@pytest.fixture(scope="module")
def path(watched_run: Path) -> Path:
    """The page of a run with snapshots."""
    return explore(watched_run, watched_run / "pad.html")


@pytest.fixture
def pad(path: Path, page: Page) -> Page:
    """That page, opened anew."""
    page.open(path)
    return page


def click(page: Page, selector: str) -> None:
    page.do(f"document.querySelector('{selector}').click()")


def prepared(page: Page) -> np.ndarray:
    """The (28, 28) image that the network was given."""
    pixels = page.ask(
        "[...document.getElementById('prepared').getContext('2d').getImageData(0, 0, 28, 28).data]"
    )
    return np.array(pixels, np.uint8).reshape(28, 28, 4)[..., 3]


def strip(page: Page) -> list[str]:
    return page.each("#strip span", "element.textContent")


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
    assert (page.text("verdict"), marks(page), strip(page)) == ("", [], [])
    page.draw(SEVEN, CROSS, kind=kind)
    image = prepared(page)
    assert (image > 0).sum() > 50
    (wanted,) = expected(trained, image[None])
    verdict = f"{wanted['label']}, known" if wanted["known"] else "unknown"
    assert page.text("verdict") == verdict
    assert strip(page) == [verdict]
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
    assert page.errors() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "images_of"),
    [
        (("--unseen", "3,0,8"), "seen and unseen classes"),
        (("--dim", "2", "--views", "3"), "a plane"),
        (("--dim", "3", "--fold", "8", "--hidden-layers", "1"), "a sphere"),
        (("--loss", "center", "--dim", "16"), "a space that is no sphere"),
    ],
)
def test_what_is_said_of_an_image_is_what_torch_says(
    settings: tuple[str, ...], images_of: str, page: Page, tmp_path: Path
) -> None:
    run = trained_run(tmp_path, "--epochs", 2, *settings)
    page.open(explore(run, tmp_path / "page.html"))
    trained = EvaluatedRun(Run(run))
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
        assert found["typicality"] == pytest.approx(one["typicality"], abs=1e-5), images_of
        assert (found["kind"] == "known") == one["known"], images_of
        of = " of known classes" if trained.config.unseen_classes else ""
        said = re.match(rf"(\d+) of 20 nearest{of} are (\d); ", found["reason"])
        assert said is not None, found["reason"]
        assert int(said[2]) not in trained.config.unseen_classes
        exact = trained.config.dim <= 3 and trained.config.loss_info.on_sphere
        place = embedding if exact else places[found["near"]].mean(0)
        np.testing.assert_allclose(found["place"], place, atol=1e-3 * scale)
    assert {found["kind"] for found, _ in judged} == {"known", "unknown"}
    assert facts["known"] == [label not in trained.config.unseen_classes for label in range(10)]


def test_subspaces_and_thresholds_are_those_that_are_kept(
    finished_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "copy")
    with np.load(folder / "gallery.npz") as file:
        kept = dict(file)
    kept["subspaces"] = kept["subspaces"][:, ::-1]
    np.savez(folder / "gallery.npz", **kept)
    report = json.loads((folder / "eval.json").read_text("utf-8"))
    for number, point in enumerate(report["known"]):
        point["threshold"] = number / 100
    (folder / "eval.json").write_text(json.dumps(report), "utf-8")
    pad = pad_of(EvaluatedRun(Run(folder)))
    assert isinstance(pad, Pad)
    np.testing.assert_array_equal(pad.subspaces, kept["subspaces"])
    assert pad.threshold == load(folder).point().threshold
    assert pad.threshold in [point["threshold"] for point in report["known"]]


@pytest.mark.parametrize("missing", ["gallery.npz", "thresholds"])
def test_subspaces_and_thresholds_that_are_not_kept_are_as_eval_has_them(
    missing: str, finished_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "copy")
    kept, points = EvaluatedRun(Run(folder)).typical
    assert points == load(folder).points
    np.testing.assert_array_equal(kept, load(folder).gallery.subspaces)
    report = json.loads((folder / "eval.json").read_text("utf-8"))
    if missing == "thresholds":
        del report["known"]
        (folder / "eval.json").write_text(json.dumps(report), "utf-8")
    else:
        (folder / missing).unlink()
    found, again = EvaluatedRun(Run(folder)).typical
    np.testing.assert_allclose(np.abs(found.astype(float)), np.abs(kept.astype(float)), atol=2e-3)
    for one, other in zip(points, again, strict=True):
        assert vars(one) == pytest.approx(vars(other), abs=1e-3)


@pytest.mark.slow
def test_undo_clear_and_the_strip(pad: Page) -> None:
    click(pad, "#undo")
    click(pad, "#clear")
    pad.draw(SEVEN)
    seven, said = prepared(pad), pad.text("verdict")
    pad.draw(CROSS)
    assert (prepared(pad) != seven).any()
    click(pad, "#undo")
    np.testing.assert_array_equal(prepared(pad), seven)
    assert (pad.text("verdict"), len(strip(pad))) == (said, 1)
    click(pad, "#clear")
    assert not prepared(pad).any()
    assert not pad.ask(
        "document.getElementById('paper').getContext('2d').getImageData(0, 0, 560, 560)"
        ".data.some((value) => value > 0)"
    )
    assert (pad.text("verdict"), marks(pad), strip(pad)) == ("", [], [said])
    pad.draw(ONE)
    assert len(strip(pad)) == 2
    assert strip(pad)[1] == said
    pad.do("document.querySelectorAll('#strip button')[1].click()")
    np.testing.assert_array_equal(prepared(pad), seven)
    assert pad.each("#strip button", "element.ariaPressed") == ["false", "true"]
    click(pad, "#undo")  # its only stroke
    assert not prepared(pad).any()
    assert len(strip(pad)) == 1
    click(pad, "#strip button")
    assert prepared(pad).any()
    assert pad.errors() == []


@pytest.mark.slow
def test_map_moves_to_the_drawing_if_it_is_to(pad: Page) -> None:
    whole = pad.ask("explorer.map.view")
    pad.do("document.getElementById('follow').checked = false")
    pad.draw(SEVEN)
    assert pad.ask("explorer.map.view") == whole
    pad.do("document.getElementById('follow').checked = true")
    click(pad, "#strip button")
    pad.until("explorer.map.view.zoom === 2 && !explorer.map.waiting")
    left, top, right, bottom = pad.box("#space")
    np.testing.assert_allclose(marks(pad)[0], [(left + right) / 2, (top + bottom) / 2], atol=1.5)
    click(pad, "#clear")
    pad.until("explorer.map.view.zoom === 1")
    assert pad.ask("explorer.map.view") == whole


@pytest.mark.slow
def test_buttons_are_reached_by_the_keyboard(pad: Page) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    pad.draw(SEVEN)
    pad.do("document.getElementById('undo').focus()")
    reached = []
    for _ in range(3):
        reached.append(pad.ask("document.activeElement.id || document.activeElement.tagName"))
        ActionChains(pad.driver).send_keys(Keys.TAB).perform()
    assert reached == ["undo", "clear", "follow"]
    ActionChains(pad.driver).send_keys(Keys.ENTER).perform()  # on the strip
    assert prepared(pad).any()
    pad.do("document.getElementById('clear').focus()")
    ActionChains(pad.driver).send_keys(Keys.ENTER).perform()
    assert not prepared(pad).any()


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
DOT, SHORT = [(0.3, 0.05)], [(0.3, 0.25), (0.3, 0.9)]
FOUR = [(0.25, 0.1), (0.1, 0.55), (0.42, 0.56)]
STEM = [(0.5, 0.2), (0.48, 0.9)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strokes", "count"),
    [
        ([SEVEN, CROSS], 1),
        ([FIVE, BAR], 1),
        ([UPRIGHT, FIVE, BAR], 2),
        ([DOT, SHORT], 1),
        ([DOT, SHORT, UPRIGHT], 2),
        ([FOUR, STEM], 1),
        ([FOUR, STEM, UPRIGHT], 2),
        ([[(0.1, 0.1), (0.1, 0.8)], [(0.45, 0.1), (0.45, 0.8)], UPRIGHT], 3),
    ],
)
def test_digits_side_by_side_are_those_of_a_picture_of_the_drawing(
    strokes: list[Any], count: int, page: Page
) -> None:
    drawing = [[[280 * x, 280 * y] for x, y in stroke] for stroke in strokes]
    ink, found = prepare_js(
        page,
        """const context = new OffscreenCanvas(280, 280).getContext("2d");
        prepare.trace(context, arguments[0], 18);
        const pixels = context.getImageData(0, 0, 280, 280).data;
        const ink = pixels.filter((_, place) => place % 4 === 3);
        return [[...ink], prepare.digits(arguments[0], 18)];
        """,
        drawing,
    )
    wanted = digits(255.0 - np.reshape(ink, (280, 280)))
    assert len(found) == len(wanted) == count
    for part, digit in zip(found, wanted, strict=True):
        points = np.concatenate(part)
        box = [*points.min(0) - 9, *points.max(0) + 9]
        np.testing.assert_allclose(box, digit.box, atol=3)


@pytest.mark.slow
def test_two_digits_on_the_pad_are_said_in_order(pad: Page) -> None:
    pad.draw(UPRIGHT)
    one = pad.text("verdict")
    pad.draw(FIVE, BAR)
    five, *others = pad.text("verdict").split(" · ")
    assert others == [one]
    assert strip(pad) == [f"{five} · {one}"]


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
def test_ink_is_on_the_paper_alone(pad: Page) -> None:
    """A stroke that leaves it goes on along its edge."""
    pad.driver.set_window_size(1280, 1600)
    bar = [(0.5, 0.2), (0.5, 0.6), (0.5, 1.0)]
    pad.draw([*bar, (0.5, 1.3), (0.2, 1.4)])
    away = prepared(pad)
    click(pad, "#clear")
    pad.draw([*bar, (0.2, 1.0)])
    np.testing.assert_allclose(away.astype(int), prepared(pad).astype(int), atol=12)


@pytest.mark.slow
def test_a_drawing_has_no_mark_among_points_of_an_earlier_time(pad: Page) -> None:
    pad.draw(SEVEN)
    assert len(marks(pad)) == 2
    pad.do("explorer.time(2)")
    assert marks(pad) == []
    pad.do("explorer.time(explorer.last)")
    assert len(marks(pad)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_mark_and_verdict_have_the_colours_of_the_theme(
    theme: Any, watched_run: Path, page: Page, tmp_path: Path
) -> None:
    page.open(explore(watched_run, tmp_path / "page.html", "--theme", theme.name))
    page.draw(SEVEN)
    known = "known" in page.text("verdict").split()
    wanted = tuple(bytes.fromhex((theme.same if known else theme.different)[1:]))
    for element, style in (("#verdict", "color"), (".mark:not(.rim)", "stroke")):
        found = page.ask(f"getComputedStyle(document.querySelector('{element}')).{style}")
        assert tuple(map(int, re.findall(r"\d+", found))) == wanted


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


@pytest.mark.slow
def test_network_that_is_too_large_for_a_page_leaves_the_pad_out(tmp_path: Path) -> None:
    """As those embeddings are that would make it too large."""
    for net, dim, pad in (("large", 4096, False), ("tiny", 1024, True)):
        run = trained_run(tmp_path / net, "--epochs", 1, "--dim", dim, "--net", net)
        page = explore(run, tmp_path / "page.html").read_text("utf-8")
        assert len(page) < 15e6
        assert ('id="pad"' in page) == pad
        assert ("too large for a page" in page) != pad


@pytest.mark.slow
def test_embeddings_in_the_page_give_cosines_to_a_thousandth(path: Path) -> None:
    html = path.read_text("utf-8")
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', html)[1])  # type: ignore[index]
    facts = facts["gallery"]
    found = np.frombuffer(base64.b64decode(facts["embeddings"]), "<f2").astype(float)
    found = found.reshape(len(facts["indices"]), -1) * facts["scale"]
    with np.load(path.with_name("embeddings.npz")) as file:
        wanted = file["embeddings"][facts["indices"]].astype(float)
    np.testing.assert_allclose(found @ wanted.T, wanted @ wanted.T, atol=1e-3)


def test_hand_is_the_box_of_the_ink_and_the_width_of_its_strokes() -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    images[0, 4:24, 10:13] = 255
    images[1, 10:14, 2:24] = 200
    widths = 2 * 60 / 46, 2 * 88 / 52  # twice the area over the length of the edge
    assert hand(images[:1]) == pytest.approx((20, widths[0]), abs=0.15)
    assert hand(images) == pytest.approx((21, sum(widths) / 2), abs=0.2)
    images[:] = 255
    assert hand(images) == (28, 7)
