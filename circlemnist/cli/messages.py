"""What the program says to a person beside its results: errors of one line, in flags' words."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from circlemnist.errors import Lost, UserError
from circlemnist.process import (
    PATIENCE,
    Stopped,
    last_words,
    to_stderr,
    torchrun_ranks,
    unread_is_fine,
    wait_for_rank_zero,
)

COMMANDS = ("train", "eval", "sweep")
NO_MEMORY = re.compile("alloc|out of memory|map segment|start new thread", re.IGNORECASE)


def flag(name: str) -> str:
    """Return the flag of the setting `name`."""
    return f"--{name.replace('_', '-')}"


def spelled(message: str) -> str:
    """Return a message of the library with its settings and jobs spelled as flags and commands.

    "take `batch_size` 100, then `train`" is "take --batch-size 100, then `circlemnist train`".
    """

    def word(match: re.Match[str]) -> str:
        name, arguments = match.groups("")
        if name in COMMANDS:
            return f"`circlemnist {name}{arguments}`"
        return match[0] if arguments else flag(name)

    return re.sub(r"`([a-z_]+)( [^`]+)?`", word, message)


def visible(text: str) -> str:
    """Return `text` with line ends and other characters that do not print as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(message: str) -> None:
    """Tell the user, on standard error, something that is not a result."""
    to_stderr(spelled(message))


class Commands(click.Group):
    """The commands in the order of work; an error that the user can mend is one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with one_line():
            return super().invoke(ctx)


@contextmanager
def one_line() -> Iterator[None]:
    """Turn errors that the user can mend into click's, each shown as one line."""
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        wait_for_rank_zero(PATIENCE)
        command = error.ctx.command_path if error.ctx else "circlemnist"
        message = error.format_message().rstrip(".").replace("\n", " ")
        # without a context, click shows no usage lines
        raise click.UsageError(visible(spelled(f"{message} (see {command} --help)"))) from error
    except UserError as error:
        if isinstance(error, Lost):
            if not error.speaks:
                raise click.exceptions.Exit(1) from None
        else:
            wait_for_rank_zero(PATIENCE)
        raise click.ClickException(visible(spelled(str(error)))) from error
    except (ImportError, MemoryError, OSError, RuntimeError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC
        # torch has no error of its own for the memory of a CPU, and neither has the loader
        if not full and not isinstance(error, MemoryError) and not NO_MEMORY.search(str(error)):
            raise
        if sys.stdout is not None:
            with unread_is_fine(sys.stdout):  # what was not written of the results is given up
                sys.stdout.flush()
        few = "there is not enough memory: end other programs, or compute less at once"
        message = f"cannot write: {os.strerror(errno.ENOSPC)}; make room" if full else few
        raise click.ClickException(message) from error
    except Stopped as stopped:
        if torchrun_ranks().rank == 0:
            last_words("stopped")
        raise click.exceptions.Exit(stopped.exit_code) from None
