"""What the program says to a person beside its results, in the words of the command line."""

import re
from dataclasses import fields

from circlemnist.config import Config
from circlemnist.process import to_stderr

COMMANDS = ("train", "eval", "sweep")
OTHERS = ("far", "name", "outputs", "projection", "resume", "format", "config", "tensorboard")
OF_SWEEP = ("vary", "seeds", "trials", "metric", "storage", "jobs")
FLAGS = (*(setting.name for setting in fields(Config)), *OTHERS, *OF_SWEEP)


def flag(name: str) -> str:
    """Return the flag of the setting `name`."""
    return f"--{name.replace('_', '-')}"


def spelled(message: str) -> str:
    """Return a message of the library with its settings and jobs spelled as flags and commands.

    "take `batch_size` 100, then `train`" is "take --batch-size 100, then `circlemnist train`".
    """

    def word(match: re.Match[str]) -> str:
        name = match[1]
        if name in COMMANDS:
            return f"`circlemnist {name}{match[2] or ''}`"
        return flag(name) if name in FLAGS and match[2] is None else match[0]

    return re.sub(r"`([a-z_]+)( [^`]+)?`", word, message)


def visible(text: str) -> str:
    """Return `text` with line ends and other characters that do not print as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(message: str) -> None:
    """Tell the user, on standard error, something that is not a result."""
    to_stderr(spelled(message))
