"""README.md and the pages of docs/, as blocks and commands."""

import re
import shlex
from pathlib import Path

from tests.conftest import ROOT

COMMAND = re.compile(r"(?:\S*bin/)?circlemnist |torchrun .* -m circlemnist ")
BENCHMARK = re.compile(r"(?:\w+=\w+ )?python -m benchmarks ([a-z-]+)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# a block without a fence, as far as it is a command
INDENTED = re.compile(r"^    ((?:circlemnist|python3?|pip|torchrun|tensorboard) .*)$", re.MULTILINE)

# pages of directives are made of other files
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
    if "```{" not in page.read_text("utf-8")
]


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """Language and text of every block, in order."""
    text = page.read_text("utf-8")
    fenced = [(found.start(), found[1], found[2]) for found in FENCE.finditer(text)]
    outside = FENCE.sub(lambda found: " " * len(found[0]), text)
    indented = [(line.start(), "sh", line[1]) for line in INDENTED.finditer(outside)]
    return [(language, block) for _, language, block in sorted(fenced + indented)]


def commands_in(block: str) -> list[str]:
    """The commands of a block of sh, without what is said beside them."""
    lines = [re.sub(r"(^|\s+)# .*", "", line).strip() for line in block.splitlines()]
    return [command for line in lines if line for command in line.split(" && ")]


def commands_of(page: Path) -> list[str]:
    sh = [block for language, block in blocks_of(page) if language == "sh"]
    return [command for block in sh for command in commands_in(block)]


def arguments_of(command: str) -> tuple[list[str], Path | None]:
    """What follows `circlemnist`, and the file that the output goes to."""
    words = shlex.split(COMMAND.sub("", command, count=1))
    if ">" in words:
        return words[: words.index(">")], Path(words[-1])
    return words, None
