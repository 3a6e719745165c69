"""What a setting may be, and what to say of a value that it may not."""

import difflib
import math
from dataclasses import dataclass

Value = str | int | float | bool


@dataclass(frozen=True)
class Limits:
    """What a setting may be: one of `choices`, or a number between bounds, perhaps whole."""

    choices: tuple[str, ...] = ()
    above: float = -math.inf
    below: float = math.inf
    least: float = -math.inf
    most: float = math.inf
    whole: bool = False

    def problem(self, value: Value) -> str | None:
        """Say what is wrong with `value`, or None where nothing is."""
        if isinstance(value, str):
            if self.choices and value not in self.choices:
                near = difflib.get_close_matches(value, self.choices, n=1)
                meant = f"; did you mean {near[0]!r}?" if near else ""
                return f"must be one of {', '.join(self.choices)}, not {value!r}{meant}"
            if not value:
                return "must not be empty"
            return None if value.isprintable() else f"must be text that prints, not {value!r}"
        if self.whole and value % 1:
            return f"must be a whole number, not {value}"
        if self.above < value < self.below and self.least <= value <= self.most:
            return None
        bounds = {">": self.above, "≥": self.least, "<": self.below, "≤": self.most}
        allowed = [f"{sign} {bound}" for sign, bound in bounds.items() if math.isfinite(bound)]
        return f"must be {' and '.join(allowed)}, not {value}"
