"""Errors of the command line as one line each, without click's usage lines above it."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from circlemnist.cli.messages import spelled, visible
from circlemnist.errors import Lost, UserError
from circlemnist.process import (
    PATIENCE,
    Stopped,
    torchrun_ranks,
    unread_is_fine,
    wait_for_rank_zero,
)


class WrongUsage(click.ClickException):
    """A flag or argument that cannot be understood, shown without click's usage lines."""

    exit_code = 2


class OneLineErrors(click.Group):
    """A command group that shows what the user can mend as one line."""

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
        raise WrongUsage(visible(spelled(f"{message} (see {command} --help)"))) from error
    except UserError as error:
        if isinstance(error, Lost):
            if not error.speaks:
                raise click.exceptions.Exit(1) from None
        else:
            wait_for_rank_zero(PATIENCE)
        raise click.ClickException(visible(spelled(str(error)))) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        with unread_is_fine(sys.stdout):  # what was not written of the results is given up
            sys.stdout.flush()
        raise click.ClickException(f"cannot write: {error.strerror}; make room") from error
    except (KeyboardInterrupt, Stopped) as error:
        if torchrun_ranks().rank == 0:
            click.echo("stopped", err=True)
        raise click.exceptions.Exit(getattr(error, "exit_code", 130)) from None
