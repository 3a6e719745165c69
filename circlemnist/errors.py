"""Errors whose message is meant for the user, and the limits of what a user may set."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass

Value = str | int | float | bool


class UserError(Exception):
    """Something the user can mend; the message is one line that names what and how.

    A setting or a job to do is named in backquotes (`batch_size`, `train`), so that who shows the
    message can spell it as the user knows it: the command line as a flag or a command.
    """


class SettingError(UserError, ValueError):
    """A setting, a field of `Config`, has a wrong value; `problem` says what is allowed."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"`{self.name}` {self.problem}"


class Unwritten(UserError):
    """A checkpoint of the folder `run` could not be written; the older one is as it was."""

    def __init__(self, reason: str, run: str) -> None:
        super().__init__(reason, run)
        self.reason, self.run = reason, run

    def __str__(self) -> str:
        return f"{self.reason}; make room, then continue with `resume` {self.run}"


class Lost(UserError):
    """Another process of those that train together has ended, or cannot be reached.

    `speaks`: this process is the one of those left that says so.
    """

    def __init__(self, message: str, speaks: bool) -> None:
        super().__init__(message, speaks)  # what it is made of again in another process
        self.speaks = speaks

    def __str__(self) -> str:
        return str(self.args[0])


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
