"""What a setting may be, and what to say of a value that it may not."""

import difflib
import math
from collections.abc import Iterable
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
                hint = did_you_mean(value, self.choices)
                return f"must be one of {', '.join(self.choices)}, not {value!r}{hint}"
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown word: the nearest known one, or nothing."""
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def parse_classes(text: str, classes: int) -> tuple[int, ...]:
    """Return the classes that a text such as "5,0,4" or "5+0+4" names, ascending.

    Two or more of the `classes` that there are must be named, and left. ValueError says what is
    wrong, in words that follow the name of the setting.
    """
    words = [word.strip() for word in text.replace("+", ",").split(",")]
    known = set(map(str, range(classes)))
    if unknown := [word for word in words if word not in known]:
        raise ValueError(
            f"must be classes from 0 to {classes - 1} such as 0,4, and has {unknown[0]!r}"
        )
    if repeated := [word for word in words if words.count(word) > 1]:
        raise ValueError(f"names the class {repeated[0]} twice")
    if len(words) < 2:
        raise ValueError(
            f"must name two classes or more, to tell apart, and names {words[0]} alone"
        )
    if len(words) > classes - 2:
        raise ValueError(f"must leave two classes or more, and leaves {classes - len(words)}")
    return tuple(sorted(map(int, words)))
