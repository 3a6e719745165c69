"""The program: `circlemnist`, or `python -m circlemnist`."""

import io
import os
import sys
from pathlib import Path

from circlemnist.process import (
    end_by_signal,
    handle_signals,
    ignore_signals,
    share_cores,
    torchrun_ranks,
    unread_is_fine,
)


def main() -> None:
    """Run the command line; a signal ends it in one line, even while its modules still load."""
    handle_signals(end_by_signal)
    share_cores()
    if sys.stderr is None:  # closed, or of a program without a console
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # the encoding of a file, or of the C locale, may lack some letters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        from circlemnist.cli.main import main as commands

        commands(prog_name="circlemnist")
    except SystemExit as ended:
        ignore_signals()  # all is done
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if code < 128 and torchrun_ranks().world_size == 1:
            raise
        # one that was stopped ends soon; gloo's threads may abort one that ends in the usual way
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with unread_is_fine(stream):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
