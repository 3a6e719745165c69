"""README, in two languages, and the page of the commands say what the program and the tests do."""

import gzip
import re
import tomllib
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
import yaml
from sklearn.datasets import load_digits

from circlemnist import __version__
from circlemnist.config import Config
from circlemnist.family import FAMILY
from circlemnist.plots.kinds import KINDS
from circlemnist.recipes import recipes
from tests.conftest import ROOT, invoke

COMMANDS = (
    *("train", "eval", "plot", "explore", "explain", "sweep", "compare", "predict", "export"),
    "recipes",
)
README, JAPANESE, REFERENCE = (
    (ROOT / name).read_text("utf-8") for name in ("README.md", "README.ja.md", "docs/commands.md")
)


def blocks(text: str) -> list[str]:
    """The blocks of code, without what is said beside them."""
    found = re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r" +# .*", "", block) for block in found]


def prose(text: str) -> str:
    """What is outside of the blocks."""
    return re.sub(r"^```\w+\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def figures(text: str) -> Counter[str]:
    """The numbers of the prose, but for single digits outside of tables: they may be words."""
    words = re.sub(r"\]\([^)]+\)|^\[.*?\]: .*", "", prose(text), flags=re.MULTILINE)
    rows = re.findall(r"\| \d \| [\d.]+ ± [\d.]+ \|", words)
    return Counter(rows + re.findall(r"\d[\d,.]*\d", words))


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text("utf-8")


def test_every_number_is_in_the_file_that_holds_it(mnist_archives: Path) -> None:
    """But for years, minutes to read, and levels of confidence, which nobody measured."""
    count = r"^\| `fast.toml` .* \| ([\d.]+) ± ([\d.]+) \| ([\d.]+) ± ([\d.]+) \|$"
    first = re.search(count, page("benchmarks"), re.MULTILINE)
    assert first is not None
    shown = re.findall(r"^(?:1nn|20nn) +([\d.]+) %", README, re.MULTILINE)
    for value, mean, deviation in zip(
        shown, first.groups()[::2], first.groups()[1::2], strict=True
    ):
        assert abs(float(value) - float(mean)) <= 3 * float(deviation)  # a run of this recipe

    columns = r"(\d\d\.\d\d ± \S+ \| .*? \| \S*) \| (\S+ ± \S+) \| .*?(\S+ ± \S+) \|"
    of_readme = re.findall(rf"^\| `([a-z-]+)` \| {columns}$", README, re.MULTILINE)
    row = rf"^\| ([a-z-]+), by cosine \| {columns}"
    assert sorted(of_readme) == sorted(re.findall(row, page("loss-comparison"), re.MULTILINE))
    assert [name for name, *_ in of_readme] == list(FAMILY)

    archives = [*mnist_archives.glob("*.gz")]
    images = [gzip.decompress(path.read_bytes())[4:8] for path in archives if "images" in path.name]
    largest = re.findall(r"^\| ([\d,]+) \|", page("circle-loss"), re.MULTILINE)[-1]
    (unseen,) = re.findall(r"^\| sphereface \| .*", page("unseen"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = {
        *("2020", "30", "95"),
        *re.findall(r"[\d.]+\d", " ".join([*chain(*of_readme), *(r.expected for r in recipes())])),
        *re.findall(r"[\d.]+\d", unseen),
        f"{sum(path.stat().st_size for path in archives) / 1e6:.0f}",
        *(f"{int.from_bytes(number):,}" for number in images),
        f"{len(load_digits().images):,}",
        f"{Config().dim}",
        f"{len(FAMILY)}",
        largest,
        project["requires-python"].removeprefix(">="),
    }
    assert {number for number in figures(README) if "|" not in number} <= known


def test_page_of_the_commands_begins_with_all_of_them() -> None:
    named = re.findall(r"^circlemnist ([a-z]+)", blocks(REFERENCE)[0], re.MULTILINE)
    assert sorted(named) == sorted(COMMANDS)
    kinds = " ".join(REFERENCE.split())
    assert all(f"`{kind}`" in kinds or f"--kind {kind}`" in kinds for kind in KINDS)


@pytest.mark.parametrize("text", [README, JAPANESE], ids=["English", "Japanese"])
def test_ci_runs_the_readme_test_command(text: str) -> None:
    (command,) = re.findall(r"^python -m pytest$", text, re.MULTILINE)
    assert f'"$bin/{command.replace(" ", chr(34) + " ", 1)}' in (ROOT / ".ci/run").read_text()


def test_citation_is_of_this_version_and_of_the_paper_that_the_readme_links() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (citation["cff-version"], citation["title"]) == ("1.2.0", "circlemnist")
    assert (citation["version"], citation["license"]) == (__version__, "MIT")
    (paper,) = citation["references"]
    assert f"[paper]: {paper['url']}" in README
    assert paper["title"] in " ".join(README.split())


def test_every_page_of_the_docs_is_linked() -> None:
    linked = set(re.findall(r"\]\((docs/[a-z.-]+\.(?:md|ipynb))\)", README))
    pages = {path for end in ("md", "ipynb") for path in ROOT.glob(f"docs/*.{end}")}
    # those with a directive are made of other files, for the site alone
    read = {page for page in pages if "```{" not in page.read_text("utf-8")}
    assert linked == {f"docs/{page.name}" for page in read}


@pytest.mark.parametrize("text", [README, JAPANESE, REFERENCE], ids=["English", "Japanese", "docs"])
def test_every_flag_that_is_mentioned_exists(text: str) -> None:
    known = "".join(invoke(command, "--help").output for command in COMMANDS)
    own = re.sub(r"^tensorboard .*", "", text, flags=re.MULTILINE)
    for flag in set(re.findall(r"(?<=[ `])--[a-z][a-z-]+", own)):
        assert flag in known, flag


def test_both_languages_have_the_same_commands_pictures_links_and_numbers() -> None:
    assert blocks(JAPANESE) == blocks(README)
    assert figures(JAPANESE) == figures(README)
    pictures, links, words = r"!\[[^\]]*\]\(([^)]+)\)", r"\]\((?!README)([^)]+)\)", r"`([^`]+)`"
    for what in (pictures, links, words):
        ours, theirs = (re.findall(what, prose(text)) for text in (README, JAPANESE))
        assert Counter(theirs) == Counter(ours)
    assert re.findall(pictures, JAPANESE) == re.findall(pictures, README)
    assert "](README.ja.md)" in README.split("\n## ")[0]
    assert "](README.md)" in JAPANESE.split("\n## ")[0]
