"""`python -m circlemnist`: the same program as the `circlemnist` command."""

from circlemnist.cli import main

main(prog_name="circlemnist")
