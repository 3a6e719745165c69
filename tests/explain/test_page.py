"""The explainer: its file, its mathematics against the real losses, and the page in a browser."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from circlemnist.explain import LANGUAGES
from circlemnist.losses import CircleLoss, build_loss
from tests.conftest import assert_one_line_error, invoke
from tests.explorer.browser import Page, start_browser

AXES, AXIS_CLASSES = torch.eye(2).double(), torch.arange(2)
SIZES = ((1300, 900), (1920, 1080), (390, 844))


def words_of(language: str) -> dict[str, Any]:
    return json.loads((files("circlemnist.explain") / f"words.{language}.json").read_text("utf-8"))


def shape_of(words: Any) -> Any:
    """The keys of a text and what it fills in, without the words."""
    if isinstance(words, dict):
        return {key: shape_of(value) for key, value in words.items()}
    if isinstance(words, list):
        return [shape_of(value) for value in words]
    assert words.strip()
    return sorted(re.findall(r"\{\w+\}", words))


def test_both_languages_say_the_same_things() -> None:
    english, japanese = map(words_of, LANGUAGES)
    assert shape_of(english) == shape_of(japanese)
    assert len(english["steps"]) == 7


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_is_small_and_asks_for_nothing(language: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    result = invoke("explain", "--language", language, "--out", path)
    assert (result.exit_code, result.output) == (0, f"page: {path}\n")
    page = path.read_text("utf-8")
    assert len(page.encode()) < 400_000
    assert f'<html lang="{language}">' in page
    assert not re.search(r"(src|href)=|url\(|@import|fetch\(|https?://", page)
    assert "{{" not in page.partition("<script>")[0]


def test_wrong_input_is_one_line(tmp_path: Path) -> None:
    assert_one_line_error(invoke("explain", "--out", tmp_path / "page.txt"), "must end in .html")
    assert_one_line_error(invoke("explain", "no-such-run", "--outputs", tmp_path), "no-such-run")
    (tmp_path / "file").write_text("")
    assert_one_line_error(invoke("explain", "--out", tmp_path / "file" / "page.html"), "file")
    assert "Invalid value for '--language'" in invoke("explain", "--language", "fr").stderr


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("explain") / "page.html"
    assert invoke("explain", "--out", path).exit_code == 0
    browser = start_browser()
    browser.file = path
    yield browser
    browser.driver.quit()


def open_page(page: Page, state: str = "", size: tuple[int, int] = SIZES[0]) -> None:
    page.open(page.file, *size, state)


def built(name: str, gamma: float, m: float, **options: Any) -> nn.Module:
    values = {"m": m} if name == "triplet" else {"gamma": gamma, "m": m}
    return build_loss(name, embedding_dim=2, **values, **options)


def loss_of_pair(
    name: str, gamma: float, m: float, sn: float, sp: float
) -> tuple[float, float, float]:
    """The loss of one anchor with one s_n and one s_p, and its slopes by them."""
    loss = built(name, gamma, m, num_classes=2, normalize=False, reduction="sum")
    label = torch.zeros(1, dtype=torch.long)
    anchor = torch.tensor([[sp, sn]], dtype=torch.float64, requires_grad=True)
    if hasattr(loss, "W"):
        loss.W.data = AXES
        value = loss(anchor, label)
    elif isinstance(loss, CircleLoss):
        value = loss(anchor, label, AXES, AXIS_CLASSES)
    else:
        value = loss(anchor, label, ref_emb=AXES, ref_labels=AXIS_CLASSES)
    ((dsp, dsn),) = torch.autograd.grad(value, anchor)[0].tolist()
    return value.item(), dsn, dsp


@pytest.mark.slow
def test_values_and_gradients_are_those_of_the_losses(page: Page) -> None:
    open_page(page)
    random = np.random.default_rng(3)
    limits = {"triplet": (0.01, 2), "cosface": (0, 1.5), "arcface": (0, 1.5)}
    limits["circle"] = (-0.5, 0.95)
    settings = []
    for name in random.choice(list(limits), 1000).tolist():
        gamma = 1.0 if name == "triplet" else float(10 ** random.uniform(0, 3))
        pair = random.uniform(-0.99, 0.99, 2).tolist()
        settings.append((name, gamma, random.uniform(*limits[name]), *pair))
    shown = page.driver.execute_script(
        "return arguments[0].map(([loss, gamma, m, sn, sp]) => {"
        "const {L, dsn, dsp} = losses.pair(loss, gamma, m, sn, sp); return [L, dsn, dsp]; })",
        settings,
    )
    for setting, found in zip(settings, shown, strict=True):
        assert found == pytest.approx(loss_of_pair(*setting), rel=1e-6, abs=1e-6), setting


@pytest.mark.slow
@pytest.mark.parametrize(("name", "m"), [("cosface", 0.25), ("arcface", 0.5), ("circle", 0.25)])
def test_line_is_where_half_of_the_pull_is_left(name: str, m: float, page: Page) -> None:
    open_page(page)
    line = np.array(page.driver.execute_script("return losses.boundary(...arguments)", name, 32, m))
    assert len(line) > 100
    for sn, sp in line[::50]:
        loss, *_ = loss_of_pair(name, 32, m, sn, sp)
        assert 1 - np.exp(-loss) == pytest.approx(0.5, abs=1e-5)
    if name == "circle":
        sn, sp = line[line[:, 0] > -m].T
        np.testing.assert_allclose(sn**2 + (sp - 1) ** 2, 2 * m**2, atol=1e-6)


def unified(similarities: Tensor, labels: Tensor, gamma: float, m: float) -> Tensor:
    """Eq. 1 of arXiv 2002.10857, the mean over anchors."""
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(labels)):
        same, different = labels == labels[i], labels != labels[i]
        same[i] = False
        sp, sn = similarities[i, same], similarities[i, different]
        exponents = gamma * (sn[:, None] - sp + m)
        total = total + torch.cat([torch.zeros(1).double(), exponents.flatten()]).logsumexp(0)
    return total / len(labels)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["triplet", "cosface", "circle"])
def test_training_follows_the_gradients_of_the_losses(name: str, page: Page) -> None:
    open_page(page)
    random = np.random.default_rng(5)
    labels = torch.arange(12) % 3
    for gamma, m in ((1.0, 0.3), (16.0, 0.25), (200.0, 0.1)):
        start = random.uniform(0, 2 * np.pi, 12)
        angles = torch.from_numpy(start).requires_grad_()
        points = torch.stack([angles.cos(), angles.sin()], 1)
        if name == "cosface":
            value = unified(points @ points.T, labels, gamma, m)
        else:
            value = built(name, gamma, m, num_classes=3)(points, labels)
        (expected,) = torch.autograd.grad(value, angles)
        found = page.driver.execute_script(
            "const {value, slopes} = losses.onCircle(...arguments); return {value, slopes}",
            *(name, gamma, m, start.tolist(), labels.tolist()),
        )
        assert found["value"] == pytest.approx(value.item(), rel=1e-6)
        assert found["slopes"] == pytest.approx(expected.tolist(), rel=1e-6, abs=1e-6)


def middle(page: Page, selector: str) -> tuple[float, float]:
    left, top, right, bottom = page.box(selector)
    return (left + right) / 2, (top + bottom) / 2


def numbers(page: Page, panel: str) -> list[str]:
    shown: list[str] = page.each(f"#{panel} dd", "element.textContent")
    return shown


@pytest.mark.slow
def test_dragging_the_handle_moves_the_pair_in_both_panels(page: Page) -> None:
    open_page(page, "#step=4&sn=0.25&sp=0.25")
    x, y = middle(page, "#a .handle")
    side = page.ask("document.querySelector('#a .stage').clientWidth")
    page.pointer(
        *(("pointer_down", x, y), ("move", x + side / 6, y), ("pointer_up", x + side / 3, y))
    )
    page.until("explainer.state.sn > 0.7")
    sn, sp = page.ask("[explainer.state.sn, explainer.state.sp]")
    assert (sn, sp) == (pytest.approx(0.75, abs=0.02), pytest.approx(0.25, abs=0.02))
    for panel, name in (("a", "cosface"), ("b", "circle")):
        value, dsn, dsp = loss_of_pair(name, 32, 0.25, sn, sp)
        shown, *_, by_sp, by_sn = numbers(page, panel)
        assert list(map(float, (shown, by_sp, by_sn))) == pytest.approx([value, dsp, dsn], abs=1e-3)
    assert numbers(page, "a")[2] == "–"
    assert float(numbers(page, "b")[2]) == pytest.approx(1.25 - sp, abs=1e-3)


@pytest.mark.slow
def test_arrow_keys_move_the_pair(page: Page) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    open_page(page, "#sn=0.5&sp=0.2")
    handle = page.driver.find_element(By.CSS_SELECTOR, "#b .handle")
    handle.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_UP)
    assert page.ask("[explainer.state.sn, explainer.state.sp]") == [0.51, 0.22]
    page.until("document.querySelector('#b .handle').ariaLabel.includes('s_n 0.51')")


@pytest.mark.slow
def test_pairs_let_go_end_along_a_line_or_about_the_goal(page: Page) -> None:
    open_page(page, "#step=5")
    page.click("#play")
    page.until("explainer.cloud.frame > 2")
    page.click("#play")
    page.do("document.getElementById('speed').value = '2'")
    page.do("for (let i = 0; i < 170; i++) document.getElementById('step').click()")
    line, circle = (
        np.array(page.ask(f"explainer.cloud.{side}.map((p) => [p.sn, p.sp])")) for side in "ab"
    )
    assert line.shape == circle.shape == (200, 2)
    assert (line[:, 1] - line[:, 0] > 0.2).all()  # beyond s_p - s_n = m, or nearly
    assert line.std(0).min() > 2 * circle.std(0).min()
    assert circle[:, 1].min() > 0.6
    page.click("#reset")
    page.until("!explainer.cloud.begun")


@pytest.mark.slow
def test_points_on_the_circle_learn(page: Page) -> None:
    open_page(page, "#step=1")
    page.click("#train")
    page.until("explainer.points.steps > 2")
    page.click("#train")
    page.do("for (let i = 0; i < 200; i++) document.getElementById('train-step').click()")
    labels, angles = page.ask("[explainer.points.labels, explainer.points.angles]")
    points = np.stack([np.cos(angles), np.sin(angles)], 1)
    centers = np.stack([points[np.array(labels) == c].mean(0) for c in range(3)])
    assert (np.argmax(points @ centers.T, 1) == labels).all()
    page.click("#add")
    page.until("explainer.points.labels.length === 19")
    x, y = middle(page, "#circle")
    page.pointer(("pointer_down", x + 90, y), ("move", x + 60, y - 60), ("pointer_up", x, y - 90))
    chosen = page.ask("explainer.points.angles[explainer.points.chosen]")
    assert chosen == pytest.approx(np.pi / 2, abs=0.05)


@pytest.mark.slow
def test_tour_has_seven_steps_and_an_answer_each(page: Page) -> None:
    open_page(page)
    assert page.text("crowded") == ""
    steps = words_of("en")["steps"]
    for number, step in enumerate(steps):
        page.until(f"document.getElementById('step-title').textContent.startsWith('{number + 1}.')")
        assert page.text("step-title") == f"{number + 1}. {step['title']}"
        assert page.text("step-text") == "".join(step["text"])
        assert page.text("question") == step["question"]
        assert step["answer"] in page.text("answer")
        assert not page.ask("document.getElementById('answer').open")
        page.click("#next")
    assert page.ask("document.getElementById('next').disabled")


@pytest.mark.slow
def test_address_holds_the_state(page: Page) -> None:
    state = "#step=6&sn=0.33&sp=0.44&classes=10&a=circle&a_gamma=64&a_m=0.7&b=triplet&b_m=0.4"
    open_page(page, state)
    page.until("location.hash.includes('b_gamma')")
    for item in state[1:].split("&"):
        assert item in page.ask("location.hash")
    assert page.text("notice") == ""
    assert "0.81" in page.text("crowded")  # ten classes do not fit into a plane


@pytest.mark.slow
def test_nonsense_in_the_address_is_named_and_the_default_shown(page: Page) -> None:
    open_page(page, "#step=99&sn=x&sp=7&a=hinge&b=circle&b_gamma=-1&classes=3.5&what=ever")
    notice = page.text("notice")
    for name in ("step", "sn", "sp", "a", "b_gamma", "classes", "what"):
        assert re.search(rf"\b{name}\b", notice), name
    assert page.ask("[explainer.state.step, explainer.state.b.gamma]") == [0, 32]
    assert page.errors() == []


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_page_fits_the_window(size: tuple[int, int], page: Page) -> None:
    open_page(page, size=size)
    assert page.ask("document.documentElement.scrollWidth <= innerWidth")
    assert page.errors() == []
    assert page.requests() == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_against_accessibility(scheme: str, page: Page) -> None:
    page.scheme(scheme)
    open_page(page)
    assert page.findings() == []
    page.scheme("light")


@pytest.mark.slow
def test_finger_drags_the_handle_on_a_phone(page: Page) -> None:
    phone = start_browser(phone=True)
    try:
        phone.open(page.file, None, state="#sn=0.25&sp=0.25")
        assert phone.ask("document.documentElement.scrollWidth <= innerWidth")
        x, y = middle(phone, "#a .handle")
        phone.pointer(
            *(("pointer_down", x, y), ("move", x - 40, y), ("pointer_up", x - 60, y)), kind="touch"
        )
        assert phone.ask("explainer.state.sn") < 0.15
    finally:
        phone.driver.quit()


@pytest.mark.slow
def test_run_shows_its_pairs_over_the_training(watched_run: Path, page: Page) -> None:
    path = page.file.with_name("run.html")
    result = invoke("explain", watched_run, "--out", path)
    assert result.exit_code == 0, result.output
    assert path.stat().st_size < 400_000
    page.open(path)
    facts = json.loads(page.text("facts"))["run"]
    with np.load(watched_run / "snapshots.npz") as snapshots:
        labels, last = snapshots["labels"], snapshots["embeddings"][-1].astype(float)
        assert len(facts["frames"]) == len(snapshots["steps"])
    s = last @ last.T / np.outer(*2 * [np.linalg.norm(last, axis=1)])
    own = [s[i, (labels == labels[i]) & (np.arange(len(s)) != i)].mean() for i in range(len(s))]
    shown = [sp for _, sp in facts["frames"][-1]["pairs"]]
    assert shown == pytest.approx(own[: len(shown)], abs=0.006)
    assert page.ask("explainer.state.a") == {"loss": "circle", "gamma": 40, "m": 0.028}
    page.do(
        "const slider = document.querySelector('#time input'); slider.value = 0;"
        "slider.dispatchEvent(new Event('input'))"
    )
    page.until("document.querySelector('#time output').value.includes('before')")
