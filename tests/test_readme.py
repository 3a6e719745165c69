"""The README says what the program and the tests do."""

import re

import yaml

from circlemnist import __version__
from tests.conftest import ROOT, invoke

COMMANDS = ("train", "eval", "plot", "explore", "sweep", "compare", "predict", "export", "recipes")
README = (ROOT / "README.md").read_text("utf-8")


def test_help_in_the_readme_is_the_help_of_the_program() -> None:
    shown = re.search(r"<!-- circlemnist train --help -->\n```text\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == invoke("train", "--help").output


def test_ci_runs_the_readme_test_command() -> None:
    (command,) = re.findall(r"^python3 .* && \.venv/bin/(python -m pytest)$", README, re.MULTILINE)
    assert f'"$bin/{command.replace(" ", chr(34) + " ", 1)}' in (ROOT / ".ci/run").read_text()


def test_citation_is_of_this_version_and_of_the_paper_that_the_readme_links() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (citation["cff-version"], citation["title"]) == ("1.2.0", "circlemnist")
    assert (citation["version"], citation["license"]) == (__version__, "MIT")
    (paper,) = citation["references"]
    assert f"[paper]: {paper['url']}" in README
    assert paper["title"] in " ".join(README.split())


def test_every_file_that_is_linked_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_flag_that_is_mentioned_exists() -> None:
    text = "".join(invoke(command, "--help").output for command in COMMANDS)
    own = re.sub(r"^tensorboard .*", "", README, flags=re.MULTILINE)
    for flag in set(re.findall(r"(?<=[ `])--[a-z][a-z-]+", own)):
        assert flag in text, flag
