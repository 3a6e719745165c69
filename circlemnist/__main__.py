"""The program: `circlemnist`, or `python -m circlemnist`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while its modules still load ends it in one line, too."""
    try:
        from circlemnist.cli.main import main as commands

        commands(prog_name="circlemnist")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
