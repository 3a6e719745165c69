"""What a setting may be, and what to say of a value that it may not."""

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from circlemnist.catalog import is_folder

Value = str | int | float | bool


@dataclass(frozen=True)
class Limits:
    """What a setting may be: one of `choices`, or a number between bounds, perhaps whole."""

    choices: tuple[str, ...] = ()
    or_path: bool = False  # beside the choices a path with a separator
    above: float = -math.inf
    below: float = math.inf
    least: float = -math.inf
    most: float = math.inf
    whole: bool = False

    def problem(self, value: Value) -> str | None:
        """Say what is wrong with `value`, or None where nothing is."""
        if isinstance(value, str):
            is_path = self.or_path and is_folder(value)
            if self.choices and value not in self.choices and not is_path:
                hint = did_you_mean(value, self.choices)
                path = f"; a folder is ./{value}" if self.or_path and value else ""
                return f"must be one of {', '.join(self.choices)}, not {value!r}{path}{hint}"
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


def parse_classes(text: str, names: Sequence[str], numbered: bool = True) -> tuple[int, ...]:
    """Return the labels of the classes that a text such as "5,0,4" or "5+0+4" names, ascending.

    Two or more of the classes must be named, and left. ValueError says what is wrong, in words
    that follow the name of the setting.

    Args:
        names: of all classes, by label.
        numbered: a label may stand for a name.
    """
    labels = {str(label): label for label in range(len(names))} if numbered else {}
    labels |= {name: label for label, name in enumerate(names)}
    words = [word.strip() for word in text.split(",")]
    if not labels.keys() >= set(words):
        words = [word.strip() for word in text.replace("+", ",").split(",")]
    if unknown := [word for word in words if word not in labels]:
        which = f"from 0 to {len(names) - 1} such as 0,4"
        which = which if numbered else f"such as {names[0]},{names[-1]}"
        hint = did_you_mean(unknown[0], names)
        raise ValueError(f"must be classes {which}, and has {unknown[0]!r}{hint}")
    chosen = [labels[word] for word in words]
    if repeated := [label for label in chosen if chosen.count(label) > 1]:
        raise ValueError(f"names the class {names[repeated[0]]} twice")
    if len(words) < 2:
        raise ValueError(
            f"must name two classes or more, to tell apart, and names {words[0]} alone"
        )
    if len(words) > len(names) - 2:
        raise ValueError(f"must leave two classes or more, and leaves {len(names) - len(words)}")
    return tuple(sorted(chosen))
