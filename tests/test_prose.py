"""The documents and the help are in plain words: short sentences, and the terms of the field.

A small checker of our own: pip cannot install Vale, and proselint checks general style, while ours
are a length and a list of terms.
"""

import ast
import re
import unicodedata
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from circlemnist.cli.main import main
from circlemnist.config import Config
from tests.conftest import ROOT, invoke

LONGEST, MEDIAN, PERCENTILE_95 = 30, 16, 28  # words of a sentence
WIDEST = 80  # columns of a line of help, and of a command
# what the field does not say → what it says
TERMS = {
    r"held[- ]out": "validation",
    r"knobs?": "hyperparameter",
    r"(un)?like pairs|(within|between)[- ]class|within and between": "same-class, different-class",
    r"told apart": "significant",
    r"strangers?('s)?": "out-of-distribution, unknown",
    r"measur(es?|ed|ing)": "evaluate, metric",
    r"no network( connection)?": "offline",
    r"(?<!-)views": "test-time augmentation",
    r"further classes": "extra classes",
    r"what it reaches": "accuracy",
    r"how the learning rate moves": "learning-rate schedule",
    r"let the first speak": "wait for rank zero",
}
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *(page for page in sorted(ROOT.glob("docs/*.md")) if not page.stem.endswith("ja")),
]


def sentences(text: str) -> list[str]:
    """The sentences of Markdown, without code, tables, headings and links."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(    |\||#|!\[|\[).*$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)|<[^>]*>", "", re.sub(r"`[^`]*`", "Code", text))
    blocks = re.split(r"\n\s*\n|\n *(?=- |\d\. )", text)
    return [
        sentence
        for block in blocks
        for sentence in re.split(
            r"(?<=[.!?:;])[*\"”)]*\s+(?=[*\"“(\[]*[A-Z0-9αγθ])", " ".join(block.split())
        )
    ]


def words(sentence: str) -> int:
    return len(re.findall(r"[^\W\d_][\w'’-]*|\d[\d.,]*", sentence))


def lengths_of(page: Path) -> list[int]:
    """Return the words of each sentence, but not of labels of two words or fewer."""
    lengths = [words(sentence) for sentence in sentences(page.read_text("utf-8"))]
    return [length for length in lengths if length > 2]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_sentences_are_short(page: Path) -> None:
    text = page.read_text("utf-8")
    assert [s for s in sentences(text) if words(s) > LONGEST] == []


def test_sentences_are_short_on_the_whole() -> None:
    lengths = [length for page in DOCUMENTS for length in lengths_of(page)]
    assert np.median(lengths) <= MEDIAN
    assert np.percentile(lengths, 95) <= PERCENTILE_95


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_page_says_in_its_first_line_for_whom_it_is(page: Path) -> None:
    text = page.read_text("utf-8")
    title, _, first, *_ = [*text.splitlines(), "", ""]
    if title.startswith("# "):  # else it includes a file
        assert re.match("For |.*(人|ため)", first), page


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_documents_use_the_terms_of_the_field(page: Path) -> None:
    text = re.sub(r"`[^`]*`", "", page.read_text("utf-8"))
    for term, right in TERMS.items():
        assert not re.search(rf"\b{term}\b", text, re.IGNORECASE), f"{term}: say {right}"


def columns(line: str) -> int:
    return len(line) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in line)


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/*.md"))], ids=lambda page: page.name
)
def test_commands_fit_a_terminal_and_are_a_line_each(page: Path) -> None:
    """A line that ends with a backslash goes on in the shells of Linux and macOS alone."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    assert [line for line in lines if columns(line) > WIDEST or line.endswith("\\")] == []


@pytest.mark.parametrize("name", [None, *main.commands])
def test_help_uses_the_terms_of_the_field_in_lines_of_a_terminal(name: str | None) -> None:
    text = invoke(*([name] if name else []), "--help").output
    assert [line for line in text.splitlines() if len(line) > WIDEST] == []
    for term, right in TERMS.items():
        assert not re.search(rf"\b{term}\b", text, re.IGNORECASE), f"{term}: say {right}"


def test_messages_use_the_terms_of_the_field() -> None:
    for file in ROOT.glob("circlemnist/**/*.py"):
        nodes = [*ast.walk(ast.parse(file.read_text("utf-8")))]
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        values = [n.value for n in nodes if isinstance(n, ast.Constant) and id(n) not in docstrings]
        messages = [value for value in values if isinstance(value, str) and " " in value]
        for term, right in TERMS.items():
            used = [t for t in messages if re.search(rf"\b{term}\b", t, re.IGNORECASE)]
            assert not used, f"{file}: {used}: say {right}"


def test_help_lists_commands_in_the_order_of_work_and_settings_by_group() -> None:
    commands = re.findall(
        r"^  (\w+) +(.*)$", invoke("--help").output.partition("Commands:")[2], re.M
    )
    assert [name for name, _ in commands] == list(main.commands)
    assert next(iter(main.commands)) == "train"
    assert all(summary.endswith(".") and "..." not in summary for _, summary in commands)
    *groups, output = re.split(r"^(?=\w.*:$)", invoke("train", "--help").output, flags=re.M)[1:]
    listed = [re.findall(r"^  --([\w-]+)", group, re.M) for group in groups]
    titles = ["Data", "Loss", "Network", "Optimiser", "Augmentation", "Evaluation"]
    assert [group.partition(":")[0] for group in groups] == titles
    settings = {setting.name.replace("_", "-") for setting in fields(Config)}
    assert settings - set().union(*listed) == {"seed", "device", "precision", "snapshots"}
    assert {"--config", "--seed", "--quiet", "--help"} <= set(re.findall(r"--\w+", output))


def test_checker_sees_what_it_should() -> None:
    long = "One " + "word " * LONGEST + "more. Short. " + "`code` is one word."
    assert [words(s) > LONGEST for s in sentences(long)] == [True, False, False]
    assert sentences("# Heading\n\n| a | b |\n\n    code\n\n- one.\n- two.") == [
        "",
        "- one.",
        "- two.",
    ]
