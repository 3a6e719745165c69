"""Every block of code of README.md and docs/*.md runs as it stands, on digits and small.

The quick tests parse each command as it is typed. The slow ones run a page from top to bottom in a
folder of its own, each command with what `small` adds: trainings of an epoch of a tiny network. A
line that cannot run is in `NOT_RUN`, with the reason; one that is in neither fails.
"""

import re
import shutil
from dataclasses import fields
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import circlemnist
from circlemnist.cli.main import main
from circlemnist.cli.sweep import new_plan
from circlemnist.config import Config
from tests.conftest import invoke
from tests.pages import (
    BENCHMARK,
    COMMAND,
    FENCE,
    PAGES,
    arguments_of,
    blocks_of,
    commands_in,
    commands_of,
)

NOT_RUN = {
    r"python3 -m venv ": "makes a venv; tests/test_wheel.py installs the program in one",
    r"\. \.venv/bin/activate$": "for the shell, after which `circlemnist` is on the path",
    r"pip install ": "fetches packages; tests/test_wheel.py installs the program",
    r"python -m pytest$": "starts these tests",
    r"tensorboard --logdir \w+$": "serves until stopped; tests/training/test_tensorboard.py reads",
    r'eval "\$\(_CIRCLEMNIST_COMPLETE=': "for the shell; tests/test_recipes.py has its output",
    r"_CIRCLEMNIST_COMPLETE=fish_source ": "for the shell; tests/test_recipes.py has its output",
    r"torchrun ": "many processes; tests/training/test_torchrun.py starts them, parsed here",
    r"circlemnist sweep --vary precision=": "not every processor has bfloat16",
    r"circlemnist compare p ": "compares that sweep",
    r"circlemnist predict \[RUN\] FILE\.\.\.$": "says what it takes",
}
TINY = {"dataset": "digits", "net": "tiny", "epochs": "1", "device": "cpu"}
PROJECTED = {"embedding", "animation", "all"}
FEW = {"--seeds": "1", "--trials": "2", "--holdout": "100"}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
JAPANESE = [page for page in PAGES if page.stem.endswith(".ja")]


def reason_not_to_run(command: str) -> str | None:
    return next((why for line, why in NOT_RUN.items() if re.match(line, command)), None)


def parse(arguments: list[str]) -> None:
    """Parse as `circlemnist` does, and plan a sweep; nothing is trained."""
    name, *rest = arguments
    group = main.make_context("circlemnist", [name])
    command = main.get_command(group, name)
    assert command is not None, name
    context = command.make_context(name, rest, parent=group)
    if name == "sweep":
        settings = {field.name: context.params[field.name] for field in fields(Config)}
        asked = (context.params[of] for of in ("varied", "seeds", "trials", "metric"))
        new_plan(context, settings, *asked)


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with the files that pages speak of."""
    digits = load_digits().images[:2] * (255 / 16)
    (tmp_path / "scans").mkdir()
    for name in ("my_digit.png", "photo.jpg", "scans/1.png", "scans/2.png"):
        picture = Image.fromarray(digits[0].astype(np.uint8))
        picture.resize((64, 64)).save(tmp_path / name)
    (tmp_path / "mine.toml").write_text("m = 0.1\n")
    for place, letter in enumerate("abchnpvx"):
        (tmp_path / "letters" / letter).mkdir(parents=True)
        for number in range(8):
            noise = np.random.default_rng(8 * place + number).integers(0, 256, (28, 28), np.uint8)
            Image.fromarray(noise).save(tmp_path / "letters" / letter / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@each_page
def test_every_block_is_run_or_it_is_said_why_not(page: Path) -> None:
    text = page.read_text("utf-8")
    fences = re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)
    assert len(fences) == 2 * len(FENCE.findall(text)), "a fence that is not read"
    assert {language for language, _ in blocks_of(page)} <= {"sh", "python", "text"}
    for command in commands_of(page):
        runs = bool(COMMAND.match(command) or BENCHMARK.match(command))
        assert runs or reason_not_to_run(command), (
            f"{page.name}: neither run nor in NOT_RUN: {command}"
        )


@each_page
def test_every_command_is_understood(page: Path, inputs: Path) -> None:
    for command in commands_of(page):
        if COMMAND.match(command) and "[RUN]" not in command:
            parse(arguments_of(command)[0])


@pytest.mark.parametrize("name", list(main.commands))
def test_every_help_has_examples_that_are_understood(name: str, inputs: Path) -> None:
    _, _, after = invoke(name, "--help").output.partition("\n  Examples:\n")
    examples = [line.strip() for line in after.partition("\n\n")[0].splitlines()]
    assert any(example.startswith(f"circlemnist {name}") for example in examples)
    for example in examples:
        parse(arguments_of(example)[0])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs and a sweep under the names that pages have for them."""
    outputs = tmp_path_factory.mktemp("trained")
    kept = ("--outputs", outputs, "--name")
    loss = ("--vary", "loss=circle,triplet")
    for name, *arguments in (
        ("mine", "train", "--m", "0.1"),
        ("yours", "train", "--m", "0.4"),
        ("default", "train"),
        ("losses", "sweep", *loss),
    ):
        result = invoke(*arguments, *tiny(arguments), *kept, name)
        assert result.exit_code == 0, result.output
    for name, source in (
        ("small-m", "mine"),
        ("large-m", "yours"),
        ("RUN", "mine"),
        ("NAME", "mine"),
    ):
        shutil.copytree(outputs / source, outputs / name)
    return outputs


@pytest.mark.parametrize("page", JAPANESE, ids=lambda page: page.stem)
def test_page_in_japanese_has_the_commands_of_the_english_one(page: Path) -> None:
    english = commands_of(page.with_name(page.name.replace(".ja.", ".")))
    assert [command.replace(" --language ja", "") for command in commands_of(page)] == english


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in JAPANESE], ids=lambda page: page.stem
)
def test_every_block_runs(
    page: Path, inputs: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(outputs, inputs / "outputs")
    monkeypatch.setattr(circlemnist, "train", partial(circlemnist.train, net="tiny", epochs=1))
    for screen in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(screen, raising=False)  # where --open would open a browser
    names = prepared(page)
    for language, block in blocks_of(page):
        # tests/losses/test_gathered.py runs that of many processes in two
        if language == "python" and page.stem != "many-processes":
            exec(compile(block, page.name, "exec"), names)
        elif language == "sh":
            for command in commands_in(block):
                if COMMAND.match(command) and not reason_not_to_run(command):
                    run(command)


def run(command: str) -> None:
    """Run a command of a page, small."""
    arguments, file = arguments_of(command)
    words = list(arguments)
    if "--name" in words:  # trained under that name already, for a page that does not train it
        shutil.rmtree(Path("outputs", words[words.index("--name") + 1]), ignore_errors=True)
    # two values of each setting that is varied
    words = [re.sub(r"^(\w+=[^,]+,[^,]+),.*", r"\1", word) for word in words]
    few = [word for flag, count in FEW.items() if flag in words for word in (flag, count)]
    result = invoke(*words, *few, *small(words))
    assert result.exit_code == 0, f"{command}\n{result.output}"
    if file is not None:
        file.write_text(result.stdout)
    if words[0] == "export":  # the page goes on in the folder of the run
        for exported in Path("outputs").glob("*/embedder.*"):
            shutil.copy(exported, ".")


def tiny(words: list[str]) -> tuple[str, ...]:
    """The flags of a training of an epoch of a tiny network, less those that a sweep varies."""
    varied = {word.partition("=")[0] for flag, word in pairwise(words) if flag == "--vary"}
    own = {"dataset"} if any(word.startswith("./") for word in words) else set[str]()
    kept = {flag: value for flag, value in TINY.items() if flag not in varied | own}
    return (*(word for flag, value in kept.items() for word in (f"--{flag}", value)), "--quiet")


def small(words: list[str]) -> tuple[str, ...]:
    """The flags that make a command quick."""
    if words[0] in ("train", "sweep"):
        return (*tiny(words), *(("--invented", "20") if "unseen" in words else ()))
    kinds = {kind for flag, kind in pairwise(words) if flag == "--kind"}
    projected = words[0] in ("plot", "compare") and (not kinds or kinds & PROJECTED)
    if "--projection" not in words and (projected or words[0] == "explore"):
        return ("--projection", "pca", *(("--width", "300") if "animation" in kinds else ()))
    return ()


def prepared(page: Path) -> dict[str, Any]:
    """What the program that a block of Python stands in has already."""
    if page.stem == "circle-loss":
        embeddings = torch.randn(8, 4, requires_grad=True)
        labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
        gather = circlemnist.gather_references
        return {"embeddings": embeddings, "labels": labels, "gather_references": gather}
    if page.stem == "export":
        invoke("export", "mine", "--format", "torch", "--out", "embedder.pt2")
    return {}
