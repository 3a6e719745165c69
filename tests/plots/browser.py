"""A page in a real browser: what is asked of it, and a pointer to feel."""

import time
from pathlib import Path
from typing import Any

PAGE_SECONDS = 30


class Page:
    """A page in the browser."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, width: int = 1280, height: int = 900) -> None:
        self.driver.set_window_size(width, height)
        self.driver.get(path.as_uri())
        self.until("document.body.dataset.ready === 'yes' && Bokeh.documents[0].is_idle")
        self.until(f"({self.view('space')}).frame.bbox.width > 100")

    def ask(self, expression: str) -> Any:
        return self.driver.execute_script(f"return {expression}")

    def do(self, statement: str) -> None:
        self.driver.execute_script(statement)

    def until(self, condition: str) -> None:
        end = time.monotonic() + PAGE_SECONDS
        while not self.ask(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def model(self, name: str) -> str:
        return f"Bokeh.documents[0].get_model_by_name('{name}')"

    def view(self, name: str) -> str:
        return f"""((plot) => Bokeh.index.get_one ? Bokeh.index.find_one(plot)
          : Object.values(Bokeh.index).find((view) => view.model === plot))({self.model(name)})"""

    def place(self, index: int) -> tuple[float, float]:
        """Where a point of the scatter plot is on the screen."""
        x, y = self.ask(
            f"""(() => {{
              const view = {self.view("space")}, data = {self.model("points")}.data;
              const box = view.el.getBoundingClientRect();
              return [box.x + view.frame.x_scale.compute(data.x[{index}]),
                      box.y + view.frame.y_scale.compute(data.y[{index}])];
            }})()"""
        )
        return x, y

    def pointer(self, *steps: tuple[str, float, float]) -> None:
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        actions = ActionBuilder(self.driver, duration=20)
        for what, x, y in steps:
            actions.pointer_action.move_to_location(round(x), round(y))
            if what != "move":
                getattr(actions.pointer_action, what)()
        actions.perform()
