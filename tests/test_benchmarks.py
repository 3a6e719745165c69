"""Every figure that a document quotes has a benchmark that works as it is typed there."""

import math
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_digits

from benchmarks import loss, mutants, predict, processes, rivals, shared, training, tuning
from benchmarks.__main__ import main, modules
from circlemnist.config import Config
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.training.build import build_training
from tests.conftest import ROOT
from tests.pages import BENCHMARK
from tests.test_code_blocks import parse

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
TEXTS = {str(path): path.read_text("utf-8") for path in DOCUMENTS}
TEXTS |= {str(module.__name__): str(module.__doc__) for module in modules}
# in a block, or between backquotes, where a line may end within it
TYPED = re.compile(r"-m\s+benchmarks[ \n]+([a-z][^`#\n]*(?:\n[^`#\n]*(?=`))?)")
COMMANDS = sorted(
    {" ".join(found.split()) for text in TEXTS.values() for found in TYPED.findall(text)}
)


def test_every_benchmark_is_documented() -> None:
    documents = "\n".join(TEXTS[str(path)] for path in DOCUMENTS)
    assert {found.split()[0] for found in TYPED.findall(documents)} == set(main.commands)


def test_each_is_listed_with_its_purpose_in_a_line() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output.partition("Commands:\n")[2]
    rows = re.findall(r"^  ([\w-]+) +(\S.*)$", listed, re.MULTILINE)
    assert {name for name, _ in rows} == set(main.commands)
    assert len(listed.splitlines()) == len(rows)
    assert not [purpose for _, purpose in rows if purpose.endswith("...")]


@pytest.mark.parametrize("name", list(main.commands))
def test_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_typed_is_understood(command: str) -> None:
    name, *words = shlex.split(command.replace("--loss NAME", "--loss triplet"))
    context = main.commands[name].make_context(name, words)
    assert "config" not in context.params or (ROOT / context.params["config"]).is_file()
    if more := context.params.get("more"):
        parse(["sweep", *more])


def test_benchmarks_of_blocks_are_recognised() -> None:
    match = BENCHMARK.match("python -m benchmarks family search")
    assert match is not None
    assert match[1] == "family"


def test_sides_of_the_loss_compute_the_same() -> None:
    x, y = loss.batch(64)
    ours, plain, whole, _ = (side(x, y) for side, _ in loss.SIDES.values())
    torch.testing.assert_close(plain, ours)
    torch.testing.assert_close(whole, loss.CircleLoss(loss.GAMMA, loss.M, pairs="batch")(x, y))


def test_networks_of_others_have_the_parameters_that_they_name() -> None:
    networks = rivals.article_network(), rivals.notebook_network()
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counts == [8064, 168_800]


def test_parts_of_an_epoch_and_its_multiply_adds() -> None:
    whole = load_dataset("digits", Path("unused")).train
    split = Split(whole.images[:500], whole.labels[:500])
    config = Config(dataset="digits", net="article", dim=32, epochs=2, precision="float32")
    state = build_training(config, split)
    # 24 × 24 × 8 of 5 × 5, 8 × 8 × 16 of 5 × 5 × 8, 2 × 2 × 32 of 3 × 3 × 16; of the first layer
    # there is no gradient by its input
    forward = [24**2 * 8 * 25, 8**2 * 16 * 200, 2**2 * 32 * 144]
    assert training.multiply_adds(state.embedder, split) == 3 * sum(forward) - forward[0]
    seconds = training.epoch_in_parts(state, config, split)
    assert state.step == 2
    assert list(seconds) == list(training.PARTS)
    assert all(value > 0 for value in seconds.values())


def test_spread_and_paired_test(capsys: pytest.CaptureFixture[str]) -> None:
    assert shared.mean_sd([1, 2, 3]) == "2.000 ± 1.000"
    assert shared.mean_sd([2]) == "2.000 ± 0.000"
    assert shared.median_range([3, 1, 2]) == "2.00 (1.00 to 3.00)"
    # gaps 1, 2, 3: t = √12, and 4.3027 is the 97.5 % quantile of t with 2 degrees of freedom;
    # gaps 1, 1, 4: t = 2
    ends = [2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3), 2 - 4.3027, 2 + 4.3027]
    first, second = (1 - t / math.sqrt(2 + t**2) for t in (math.sqrt(12), 2))
    rows = {"a": [1, 1, 1], "b": [2, 3, 4], "c": [2, 2, 2], "d": [2, 2, 5]}
    shared.print_beside_the_first({name: {"1-NN": row} for name, row in rows.items()})
    assert capsys.readouterr().out.splitlines() == [
        f"1-NN: b over a +2.000, 95 % interval {ends[0]:+.3f} to {ends[1]:+.3f}, "
        f"p = {2 * first:.2g} of 3 tests",
        "1-NN: c over a +1.000, the same each time: no test",
        f"1-NN: d over a +2.000, 95 % interval {ends[2]:+.3f} to {ends[3]:+.3f}, "
        f"p = {second:.2g} of 3 tests",
    ]


def test_equivalent_faults_are_known_by_their_text() -> None:
    assert mutants.is_equivalent("x.sort(stable=True) -> x.sort(stable=False)")
    assert not mutants.is_equivalent("x.sort(stable=True) -> x.sort()")


def test_mutants_are_of_files_that_there_are() -> None:
    chosen = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    files = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("circlemnist/**/*.py")]
    for pattern in chosen["only_mutate"]:
        assert any(fnmatch(file, pattern) for file in files), pattern
    for tests in chosen["pytest_add_cli_args_test_selection"]:
        assert (ROOT / tests).exists()
    assert "circlemnist.losses.circle.x*forward__mutmut_*" in mutants.function_patterns()


def test_a_fold_trains() -> None:
    assert tuning.fold_accuracy({"epochs": 1, "net": "tiny"}, fold=0) > 50


def test_notebook_of_others_trains() -> None:
    digits = load_dataset("digits", Path("unused"))
    embedder, seconds = rivals.train_notebook(digits, "float32", seed=0, steps=2)
    assert embedder(torch.zeros(3, 1, 28, 28)).shape == (3, 64)
    assert seconds > 0


def test_what_a_gradient_is_beside_that_of_one_process() -> None:
    wanted = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert processes.verdict(wanted.clone(), wanted) == "agrees"
    assert processes.verdict(2 * wanted, wanted) == "× 2"
    assert processes.verdict(torch.tensor([3.0, 4.5]).double(), wanted) == "10 % off"


@pytest.mark.slow
def test_a_blank_picture_has_no_prediction(finished_run: Path) -> None:
    run = predict.circlemnist.load(finished_run)
    blank, digit = np.full((200, 200), 255.0), predict.drawn(load_digits().images[0])
    empty, answer = predict.predictions(run, [blank, digit])
    assert empty is None
    assert answer is not None


@pytest.mark.slow
@pytest.mark.parametrize("command", ["export", "projection"])
def test_benchmark_of_a_run(command: str, finished_run: Path) -> None:
    result = CliRunner().invoke(main, [command, str(finished_run)])
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_quality_of_a_small_training(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["quality", str(ROOT / "configs" / "fast.toml"), "--dataset", "digits", "--seeds", "2"]
    words += ["--jobs", "2", "--outputs", str(tmp_path), "--", "--epochs", "2"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    row = result.output.splitlines()[-1]
    assert re.fullmatch(r"\| fast \| \d\d\.\d+ ± \d.*\|", row), result.output
