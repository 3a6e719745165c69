"""The README says what the program and the tests do."""

import re

from tests.conftest import ROOT, invoke

COMMANDS = ("train", "eval", "plot", "explore", "sweep", "compare", "export")
README = (ROOT / "README.md").read_text("utf-8")


def test_help_in_the_readme_is_the_help_of_the_program() -> None:
    shown = re.search(r"<!-- circlemnist train --help -->\n```text\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == invoke("train", "--help").output


def test_ci_runs_the_readme_test_command() -> None:
    (command,) = re.findall(r"^python3 .* && \.venv/bin/(python -m pytest)$", README, re.MULTILINE)
    assert f'"$bin/{command.replace(" ", chr(34) + " ", 1)}' in (ROOT / ".ci/run").read_text()


def test_every_file_that_is_linked_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_flag_that_is_mentioned_exists() -> None:
    text = "".join(invoke(command, "--help").output for command in COMMANDS)
    for flag in set(re.findall(r"(?<=[ `])--[a-z][a-z-]+", README)):
        assert flag in text, flag
