"""Recipes: found by name wherever the program is typed, and listed with what to expect."""

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from circlemnist.cli.main import main
from circlemnist.config import read_settings
from circlemnist.recipes import Recipe, read_recipe, recipe_files, recipes
from tests.conftest import ROOT, assert_one_line_error, invoke
from tests.process import PROGRAM

pytestmark = pytest.mark.usefixtures("own_folder")
NAMES = ["article", "default", "fast", "plane", "sphere", "unseen"]
README, RECIPES, COMMANDS = (
    (ROOT / name).read_text("utf-8")
    for name in ("README.md", "docs/recipes.md", "docs/commands.md")
)


def test_every_recipe_is_listed_in_a_line_with_what_to_expect() -> None:
    result = invoke("recipes")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == NAMES == list(recipe_files())
    assert re.split("  +", lines[NAMES.index("plane")]) == [
        "plane",
        "An embedding in the plane, drawn as it is",
        "99.25 ± 0.06 % 1-NN, bfloat16, 40 to 63 s on 2 cores",
    ]
    for line in lines:
        assert re.search(r"\w  +\d\d\.\d\d ± 0\.\d\d % 1-NN.*, [\d to]+ (s|min) on 2 cores$", line)


def test_figures_of_the_readme_and_the_benchmarks_are_those_of_the_recipes() -> None:
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    for recipe in recipes():
        figure = recipe.expected.split(" %")[0]
        measured = re.search(
            rf"^\| `{recipe.name}.toml`.* \| (\d+) \| {figure} \|", benchmarks, re.MULTILINE
        )
        assert measured is not None
        seeds = re.escape(f"| {measured[1]} | {figure} |")
        assert re.search(rf"^\| `{recipe.name}` \| .* {seeds}$", README, re.MULTILINE)
        assert f"`{recipe.name}`" in RECIPES
        assert figure not in RECIPES


def test_recipes_that_augment_on_their_own_say_how_long_whatever_the_default() -> None:
    for name in ("plane", "sphere", "unseen"):
        settings = read_settings(recipe_files()[name])
        assert {"elastic", "plain_share"} <= settings.keys(), name
        assert settings["plain_share"] == 0.25, f"the figures of {name} are of a quarter"


def test_length_that_is_typed_takes_the_place_of_the_recipes(tmp_path: Path) -> None:
    typed = invoke("train", "--dry-run", "--config", "fast", "--epochs", 3).stdout
    assert "epochs = 3\n" in typed
    assert "images" not in typed
    (tmp_path / "mine.toml").write_text("epochs = 3\n")
    typed = invoke("train", "--dry-run", "--config", "mine.toml", "--images", 900).stdout
    assert "images = 900\n" in typed
    assert "epochs" not in typed


def test_name_is_a_recipe_and_a_path_or_suffix_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "plane").mkdir()
    assert "\ndim = 2\n" in invoke("train", "--dry-run", "--config", "plane").stdout
    for file, m in (("fast", 0.11), ("fast.toml", 0.12), ("mine", 0.13)):
        (tmp_path / file).write_text(f"m = {m}\n")
    for given, m in (("fast", 0.028), ("./fast", 0.11), ("fast.toml", 0.12), ("./mine", 0.13)):
        shown = invoke("train", "--dry-run", "--config", given).stdout
        assert f"\nm = {m}\n" in shown, given
    assert_one_line_error(invoke("train", "--dry-run", "--config", "mine"), "no recipe 'mine'")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("plan", ["no recipe 'plan'; did you mean 'plane'?", *NAMES, "--config ./plan)"]),
        ("SPHERE", ["did you mean 'sphere'?"]),
        ("", ["no recipe ''"]),
        ("other.toml", ["cannot read other.toml"]),
        ("x" * 300 + "/fast.toml", ["cannot read x"]),
    ],
)
@pytest.mark.parametrize("command", [["train"], ["sweep", "--vary", "m=0,0.1"]], ids=lambda c: c[0])
def test_unknown_recipe_is_one_line(command: list[str], given: str, words: list[str]) -> None:
    assert_one_line_error(invoke(*command, "--config", given), *words)


def test_head_of_a_recipe_is_read(tmp_path: Path) -> None:
    head = "# For this\n# and that: in detail. More.\n#\n# Other.\n#\n# Expected: 9 %,\n#   3 s.\n"
    file = tmp_path / "a.toml"
    file.write_text(f"{head}m = 0.25\n")
    assert read_recipe(file) == Recipe("a", "For this and that", "9 %, 3 s")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("circlemnist exp", ["plain,explore", "plain,explain", "plain,export"]),
        ("circlemnist train --config pl", ["plain,plane"]),
        ("circlemnist train --config ./", ["file,./"]),
        ("circlemnist train --config fast --last", ["plain,--last-norm"]),
        ("circlemnist train --config none --last", ["plain,--last-norm"]),
        ("circlemnist train --net me", ["plain,medium"]),
        ("circlemnist train --data-dir da", ["dir,da"]),
        ("circlemnist train --resume mi", ["plain,mine"]),
        ("circlemnist plot --outputs elsewhere m", ["dir,m"]),
        ("circlemnist eval --outputs outputs swe", ["plain,swept"]),
        ("circlemnist compare mine ./so", ["dir,./so"]),
        ("circlemnist predict my_d", ["file,my_d"]),
    ],
)
def test_shell_completion(typed: str, offered: list[str]) -> None:
    files = {"mine": "config.toml", "swept": "sweep.toml", ".hidden": "config.toml"}
    for name, file in files.items():
        (Path("outputs") / name).mkdir(parents=True)
        (Path("outputs") / name / file).touch()
    words = typed.split()
    environment = {
        "_CIRCLEMNIST_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    result = CliRunner().invoke(main, [], prog_name="circlemnist", env=environment)
    assert [line.split("\t")[0] for line in result.stdout.split()] == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_set_up_as_the_docs_say(shell: str) -> None:
    assert f"_CIRCLEMNIST_COMPLETE={shell}_source circlemnist" in COMMANDS
    result = subprocess.run(
        PROGRAM, capture_output=True, text=True, env={"_CIRCLEMNIST_COMPLETE": f"{shell}_source"}
    )
    assert "circlemnist" in result.stdout
