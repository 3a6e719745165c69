"""A page in a real browser: what is asked of it, and a pointer to feel."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

PAGE_SECONDS = 30


class Page:
    """A page in the browser."""

    file: Path

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(
        self, path: Path, width: int | None = 1280, height: int = 900, state: str = ""
    ) -> None:
        """Open a page anew in a window of that size; None for one that has a size of its own.

        `state` is what follows the path in the address.
        """
        if width:
            self.driver.set_window_size(width, height)
        self.driver.get("about:blank")
        self.driver.get(path.as_uri() + state)
        self.until("document.body.dataset.ready === 'yes'")
        self.until("!window.explorer || explorer.map.width > 100")

    def errors(self) -> list[Any]:
        """What went wrong since this was asked for the last time."""
        return [line for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """What was asked of the network since this was asked for the last time."""
        messages = [
            json.loads(line["message"])["message"] for line in self.driver.get_log("performance")
        ]
        urls = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        assert urls
        return [url for url in urls if not url.startswith(("about:", "file:", "data:", "blob:"))]

    def ask(self, expression: str) -> Any:
        return self.driver.execute_script(f"return {expression}")

    def do(self, statement: str) -> None:
        self.driver.execute_script(statement)

    def until(self, condition: str) -> None:
        end = time.monotonic() + PAGE_SECONDS
        while not self.ask(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def place(self, index: int, plot: str = "map") -> tuple[float, float]:
        """Where the point of an image is on the screen."""
        x, y = self.ask(
            f"""(() => {{
              const {{ x, y }} = explorer.{plot}.canvas.getBoundingClientRect();
              const [right, down] = explorer.{plot}.at(explorer.{plot}.place({index}));
              return [x + right, y + down];
            }})()"""
        )
        return x, y

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of an element on the screen, scrolled to where it is seen."""
        left, top, right, bottom = self.ask(
            f"""((element) => {{
              element.scrollIntoView({{ block: "nearest" }});
              const {{ left, top, right, bottom }} = element.getBoundingClientRect();
              return [left, top, right, bottom];
            }})(document.querySelector({selector!r}))"""
        )
        return left, top, right, bottom

    def click(self, selector: str, kind: str = "mouse") -> None:
        left, top, right, bottom = self.box(selector)
        self.pointer(("click", (left + right) / 2, (top + bottom) / 2), kind=kind)

    def each(self, selector: str, expression: str) -> Any:
        """An expression of every `element` that the selector matches."""
        elements = f"[...document.querySelectorAll({selector!r})]"
        return self.ask(f"{elements}.map((element) => {expression})")

    def text(self, name: str) -> str:
        text: str = self.ask(f"document.getElementById('{name}').textContent")
        return text

    def keys(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def drag(self, *places: tuple[float, float], shift: bool = False, kind: str = "mouse") -> None:
        """Press at the first place, move to the others and let go at the last."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        if shift:
            ActionChains(self.driver).key_down(Keys.SHIFT).perform()
        moves = [("move", *place) for place in places[1:]]
        self.pointer(("pointer_down", *places[0]), *moves, ("pointer_up", *places[-1]), kind=kind)
        if shift:
            ActionChains(self.driver).key_up(Keys.SHIFT).perform()

    def findings(self) -> list[Any]:
        """What axe has against the page that is moderate or worse."""
        from axe_core_python.selenium import Axe

        violations = Axe().run(self.driver)["violations"]
        return [
            (rule["id"], [node["html"][:120] for node in rule["nodes"]])
            for rule in violations
            if rule["impact"] in ("serious", "critical", "moderate")
        ]

    def scheme(self, name: str) -> None:
        """What the system asks for: "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def pointer(self, *steps: tuple[str, float, float], kind: str = "mouse") -> None:
        from selenium.webdriver.common.actions.action_builder import ActionBuilder
        from selenium.webdriver.common.actions.pointer_input import PointerInput

        actions = ActionBuilder(self.driver, mouse=PointerInput(kind, kind), duration=20)
        for what, x, y in steps:
            actions.pointer_action.move_to_location(round(x), round(y))
            if what != "move":
                getattr(actions.pointer_action, what)()
        actions.perform()

    def draw(self, *strokes: list[tuple[float, float]], kind: str = "mouse") -> None:
        """Draw on the pad with a mouse, pen or finger; places from 0 to 1, right and down."""
        for stroke in strokes:
            left, top, right, bottom = self.box("#paper")
            places = [(left + (right - left) * x, top + (bottom - top) * y) for x, y in stroke]
            self.drag(*places, kind=kind)


def start_browser(phone: bool = False) -> Page:
    """Start a headless Chromium, in a window as large as a phone's or in one that is wide.

    What it logs and what it asks of the network is kept.
    """
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver_path):
        pytest.skip("there is no chromium with chromedriver here")
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"),
        *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    ):
        options.add_argument(argument)
    if phone:
        metrics = {"width": 390, "height": 844, "pixelRatio": 2, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        driver = webdriver.Chrome(options, webdriver.ChromeService(driver_path))
    except WebDriverException as error:
        pytest.skip(f"chromium does not start here: {error.msg}")
    return Page(driver)
