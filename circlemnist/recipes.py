"""The recipes that come with the program: files of settings, found by name.

A recipe is headed by a comment: its first sentence, up to a colon if there is one, says what it is
for, and the paragraph that begins with `Expected:` what it reaches and how long it takes.
"""

from pathlib import Path
from typing import NamedTuple

from circlemnist.catalog import is_folder
from circlemnist.errors import UserError
from circlemnist.limits import did_you_mean

EXPECTED = "Expected: "
# in a wheel the recipes lie in the package, in a checkout beside it
FOLDERS = (Path(__file__).parent / "configs", Path(__file__).parent.parent / "configs")


class Recipe(NamedTuple):
    """A recipe by name, what it is for, what it reaches and how long it takes, in words."""

    name: str
    purpose: str
    expected: str


def recipe_files() -> dict[str, Path]:
    """Return the files of the recipes by name, in the order of the names."""
    folder = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def recipes() -> list[Recipe]:
    return [read_recipe(path) for path in recipe_files().values()]


def read_recipe(path: Path) -> Recipe:
    """Read the comments ahead of its first setting."""
    lines = path.read_text("utf-8").splitlines()
    head = lines[: next((n for n, line in enumerate(lines) if line[:1] != "#"), None)]
    text = "\n".join(line[1:].strip() for line in head)
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    sentence = paragraphs[0].split(". ")[0].rstrip(".")
    expected = next(text for text in paragraphs if text.startswith(EXPECTED))
    return Recipe(path.stem, sentence.split(":")[0], expected.removeprefix(EXPECTED).rstrip("."))


def settings_file(text: str) -> Path:
    """Return the file that `text` names: of a recipe, or the file of that path.

    What has neither a separator of folders nor a suffix is a recipe's name, whatever files there
    are; `./plane` and `plane.toml` are files. Raises UserError where there is no such recipe.
    """
    path, files = Path(text), recipe_files()
    if path.suffix or is_folder(text):
        return path
    if text not in files:
        raise UserError(
            f"no recipe {text!r}{did_you_mean(text, files)} "
            f"(recipes: {', '.join(files)}; a file: `config` ./{text})"
        )
    return files[text]
