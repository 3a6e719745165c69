"""Every figure that a document quotes has a benchmark that works as it is typed there."""

import math
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_digits

from benchmarks import (
    family,
    gathered,
    loss,
    mutants,
    nested,
    predict,
    resumed,
    rivals,
    shared,
    training,
)
from benchmarks.__main__ import main, modules
from circlemnist.config import Config
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.family import FAMILY
from circlemnist.training.build import build_training
from tests.conftest import ROOT
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


def test_sides_of_the_loss_compute_the_same() -> None:
    x, y = loss.batch(64)
    ours, plain, whole, _ = (side(x, y) for side, _ in loss.SIDES.values())
    torch.testing.assert_close(plain, ours)
    torch.testing.assert_close(whole, loss.CircleLoss(loss.GAMMA, loss.M, pairs="batch")(x, y))


def test_networks_of_others_have_the_parameters_that_they_name() -> None:
    networks = rivals.article_network(), rivals.notebook_network()
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counts == [8064, 168_800]


def test_parts_of_an_epoch() -> None:
    whole = load_dataset("digits", Path("unused")).train
    split = Split(whole.images[:500], whole.labels[:500])
    config = Config(dataset="digits", net="article", dim=32, epochs=2, precision="float32")
    state = build_training(config, split)
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
        f"p = {2 * first:.2g} of 2 tests",
        "1-NN: c over a +1.000, the same each time: no test",
        f"1-NN: d over a +2.000, 95 % interval {ends[2]:+.3f} to {ends[3]:+.3f}, "
        f"p = {second:.2g} of 2 tests",
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


def searched(points: list[family.Point], **slopes: float) -> list[family.Result]:
    """A result for each point, better the larger the settings with a slope are."""
    scores = [sum(slope * getattr(p, name) for name, slope in slopes.items()) for p in points]
    return [
        family.Result(point, 0, "cosine", 0.5 + 0.01 * score, 0.9, 0.1)
        for point, score in zip(points, scores, strict=True)
    ]


@pytest.mark.parametrize("name", list(FAMILY))
def test_points_are_in_their_box_and_beyond_the_edge_of_the_best(name: str) -> None:
    box = {**family.BOXES[name], "weight_decay": family.WEIGHT_DECAY}
    assert family.BOXES.keys() == FAMILY.keys()
    points = family.points_to_search(name, [], "bfloat16")
    assert len(points) == 16
    for setting, (low, high) in box.items():
        values = [getattr(point, setting) for point in points]
        assert low * (1 - 1e-2) <= min(values) or setting == "m"
        assert max(values) <= high * (1 + 1e-2)
        results = searched(points, **{setting: 1.0})
        grown = family.points_to_search(name, results, "bfloat16")
        assert grown[:16] == points
        assert not results or max(getattr(p, setting) for p in grown) > max(values)
        for point in grown:
            Config(**{k: v for k, v in point._asdict().items() if v is not None})
    # twice at most, however good the edge is
    for _ in range(4):
        points = family.points_to_search(name, searched(points, lr=1.0), "bfloat16")
    assert 16 < len(points) <= 16 + 2 * 4 * 2 * len(box)
    assert len(family.points_to_search(name, [], "float32")) == 8


def test_finalists_and_winners_by_each_similarity() -> None:
    points = family.points_to_search("center", [], "bfloat16")
    by_cosine = searched(points, lr=1.0)
    by_distance = [
        r._replace(similarity="distance", map_at_r=0.4 - r.map_at_r / 4) for r in by_cosine
    ]
    ranked = sorted(points, key=lambda point: -point.lr)
    assert family.finalists(by_cosine + by_distance) == [*ranked[:5], *ranked[-1:-6:-1]]
    lucky = by_cosine[0]._replace(map_at_r=0.9, seed=1)
    unlucky = lucky._replace(map_at_r=0.1, seed=2)
    steady = [r._replace(seed=seed) for r in by_cosine[1:2] for seed in (1, 2)]
    assert family.winners([lucky, unlucky, *steady]) == {"cosine": by_cosine[1].point}
    assert list(family.winners([*by_distance, *by_cosine])) == ["cosine", "distance"]


def test_a_part_takes_up_the_part_before_once_that_is_complete(tmp_path: Path) -> None:
    def rows_of(part: str, **better: float) -> list[resumed.Row]:
        trainings = family.trainings_of(part, "adacos", tmp_path, "float32")
        return [
            row | {"similarity": "cosine", "map@r": str(0.5 + better.get(row["lr"], 0)), "1nn": "1"}
            for row in trainings
        ]

    def write(part: str, rows: list[resumed.Row]) -> None:
        resumed.write_rows(tmp_path / f"{part}.csv", [row | {"eer": "0"} for row in rows])

    rows = rows_of("search")
    best = sorted((row["lr"] for row in rows), key=float)[1:6]  # none is the lowest or the highest
    inner = {lr: 0.01 * number for number, lr in enumerate(best, 1)}
    rows = rows_of("search", **inner)
    write("search", rows[1:])
    with pytest.raises(click.UsageError, match=r"search\.csv lacks 1 of 8 trainings of adacos"):
        family.trainings_of("confirm", "adacos", tmp_path, "float32")
    write("search", rows)
    assert family.read_results(tmp_path / "search.csv", "adacos", "bfloat16") == []
    while len(rows) < len(more := rows_of("search", **inner)):
        write("search", rows := more)
    confirmed = rows_of("confirm")
    assert {row["lr"] for row in confirmed} == set(best)
    assert [row["seed"] for row in confirmed] == ["1", "2"] * 5
    write("confirm", rows_of("confirm", **{best[2]: 0.1}))
    final = family.trainings_of("final", "adacos", tmp_path, "float32")
    assert {row["lr"] for row in final} == {best[2]}
    assert [int(row["seed"]) for row in final] == [*range(10, 20)]


def double(row: resumed.Row) -> list[resumed.Row]:
    assert row["n"] != "3", "stopped"
    return [row | {"twice": str(2 * int(row["n"]))}]


def test_each_training_runs_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = [{"n": str(n)} for n in range(4)]
    with resumed.workers(1, tmp_path) as pool:
        with pytest.raises(AssertionError):
            resumed.train_missing(path, rows, double, pool)
        assert resumed.read_rows(path) == [{"n": str(n), "twice": str(2 * n)} for n in range(3)]
        assert resumed.train_missing(path, [*rows[:3], {"n": "4"}], double, pool) == 1
    assert [row["twice"] for row in resumed.read_rows(path)] == ["0", "2", "4", "8"]


def test_final_table_corrects_for_the_losses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses, gaps = ["circle", "adacos", "center"], {"adacos": 0.01, "center": 0.02}
    rows = []
    for name in losses:
        (point, *_) = family.points_to_search(name, [], "float32")
        for seed, noise in enumerate((0.0, 0.001, 0.002)):
            value = 0.9 + noise + gaps.get(name, 0.0) + (noise if name == "center" else 0)
            row = family.as_row(point, seed) | {"similarity": "cosine"}
            rows.append(row | {"map@r": str(value - 0.001 * (name == "adacos") * seed**2)})
            rows[-1] |= {"1nn": "0.99", "eer": "0.01"}
    for part in ("confirm", "final"):
        resumed.write_rows(tmp_path / f"{part}.csv", rows)
    family.print_final(tmp_path, "float32", losses)
    text = capsys.readouterr().out
    # of adacos the gaps are 1, 0.9 and 0.6 points, of center 2, 2.1 and 2.2
    adacos, center = (line.split(" | ") for line in text.splitlines()[3:])
    assert adacos[2] == "+0.83 (+0.32 to +1.35)"
    assert center[2] == "+2.10 (+1.85 to +2.35)"
    t = [0.025 / 3 / 0.00120185, 0.021 / 0.00057735]
    adacos_p, center_p = (1 - x / math.sqrt(2 + x**2) for x in t)
    assert float(center[3]) == pytest.approx(2 * center_p, rel=0.05)
    assert float(adacos[3]) == pytest.approx(adacos_p, rel=0.05)


@pytest.mark.parametrize("name", [*FAMILY, nested.RECIPE])
def test_candidates_are_settings_and_the_best_mean_of_both_halves_is_chosen(name: str) -> None:
    candidates = nested.candidates(name)
    assert len(candidates) == len({tuple(s.items()) for s in candidates.values()})
    assert len(candidates) == (11 if name == nested.RECIPE else 8)
    for settings in candidates.values():
        Config(**settings)
    equal = [(0.5, 0.5)] * (len(candidates) - 2)
    scores = [(0.9, 0.1), (0.6, 0.5), *equal]  # the second has the best mean
    rows = [
        {"split": "0+4+5+8", "name": name, "candidate": candidate, nested.SCORE: str(score)}
        for candidate, halves in zip(candidates, scores, strict=True)
        for score in halves
    ]
    assert nested.chosen(["0+4+5+8"], name, rows) == list(candidates)[1]
    with pytest.raises(click.UsageError, match="is not searched"):
        nested.chosen(["0+4+5+8"], name, rows[1:])
    # over both splits the first is the best
    more = [row | {"split": "1+2+3+6", nested.SCORE: "01"[i < 2]} for i, row in enumerate(rows)]
    assert nested.chosen(["0+4+5+8", "1+2+3+6"], name, rows + more) == next(iter(candidates))


def test_halves_are_the_seen_digits_of_the_reported_splits() -> None:
    for split, halves in nested.HALVES.items():
        assert sorted("+".join([split, *halves])) == sorted("0+1+2+3+4+5+6+7+8+9")
        assert [len(nested.digits(half)) for half in halves] == [3, 3]


def test_nested_table_compares_the_means_of_the_splits(capsys: pytest.CaptureFixture[str]) -> None:
    gaps = {"softmax": (1, 2, 3, 4, 5), "adacos": (2, 2, 3, 2, 2)}
    rows = [
        {"split": split, "name": name, "candidate": f"m 0.{i}"}
        | dict.fromkeys(nested.COLUMNS, str((50 + i + seed + gaps.get(name, [0] * 5)[i]) / 100))
        for name in [*family.BOXES, nested.RECIPE]
        for i, split in enumerate(nested.SPLITS)
        for seed in (-1, 0, 1)
    ]
    nested.print_losses(rows)
    nested.print_recipe(rows)
    text = capsys.readouterr().out.splitlines()
    table = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in text}
    # of softmax t is 3 / √0.5, of adacos 2.2 / 0.2; 2.7764 is the 97.5 % quantile of t
    ends = 3 - 2.7764 * math.sqrt(0.5), 3 + 2.7764 * math.sqrt(0.5)
    assert table["softmax"][-2] == f"+3.00 (+{ends[0]:.2f} to +{ends[1]:.2f})"
    assert float(table["adacos"][-1].strip(" |")) == pytest.approx(9 * 3.878e-4, rel=0.02)
    assert float(table["softmax"][-1].strip(" |")) == pytest.approx(8 * 0.01324, rel=0.05)
    assert table["recipe"][-2:] == ["+0.00 ()", " |"]  # described, not tested
    assert table["circle"][1] == table["all"][1] == "52.00 ± 1.69"  # √(40 / 14)
    assert table["2, 5, 7, 8"][1] == "53.00"
    assert table["2, 5, 7, 8"][-1] == "`m 0.3` |"


@pytest.mark.slow  # four trainings
def test_trainings_of_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    """On digits: Center Loss by both similarities; other digits than those that are trained."""
    digits = load_dataset("digits", Path("unused"))
    monkeypatch.setattr(resumed, "load_dataset", lambda *_: digits)
    monkeypatch.setattr(resumed, "VALIDATION", 287)
    resumed.load_mnist.cache_clear()
    (point, *_) = family.points_to_search("center", [], "float32")
    first, second = family.run_training(family.as_row(point, 3), Path("unused"), validate=True)
    assert [first["similarity"], second["similarity"]] == ["distance", "cosine"]
    assert 0.1 < float(first["map@r"]) < float(first["1nn"]) <= 1
    assert first["map@r"] != second["map@r"]
    monkeypatch.setattr(nested, "candidates", lambda _: {"small": {"net": "tiny", "epochs": 4}})
    row = {"name": "circle", "candidate": "small", "seed": "0"}
    results = nested.search(row | {"half": "1+2+7"}, Path("unused"))
    assert [result["split"] for result in results] == ["0+4+5+8", "3+4+6+9"]
    first, second = (float(result[nested.SCORE]) for result in results)
    assert 0.1 < min(first, second) < max(first, second) < 1
    views = {"net": "tiny", "epochs": 4, "views": 5}
    monkeypatch.setattr(nested, "candidates", lambda _: {"small": views})
    shifted, _ = nested.search(row | {"half": "1+2+7"}, Path("unused"))
    assert float(shifted[nested.SCORE]) != first  # of the same network, five shifts an image
    (result,) = nested.final(row | {"split": "0+4+5+8"}, Path("unused"))
    dataset = digits.leave_out([0, 4, 5, 8])
    _, embedder = nested.trained(row, dataset.train, [0, 4, 5, 8])
    assert embedder is not None
    metrics, _ = evaluate(embedder, dataset, views=5)  # of the images of each few-shot index, too
    for name in set(nested.COLUMNS) & metrics.keys():
        assert float(result[name]) == pytest.approx(metrics[name], abs=1e-6), name
    monkeypatch.setattr(nested, "candidates", lambda _: {"small": {"net": "tiny", "images": 4000}})
    train = nested.images_of(digits.train, "1+2+7")
    config, _ = nested.trained(row, train, [0, 3, 4, 5, 6, 8, 9])
    assert config.epochs == Config(images=2000).resolve("mnist", len(train)).epochs
    (result,) = nested.final(row | {"split": "0+4+5+8"}, Path("unused"))
    assert float(result["unseen/map@r"]) < float(result["1nn"])
    strict, lenient = (float(result[f"accepted@{rate}"]) for rate in nested.RATES)
    assert 0 <= strict <= lenient < 1
    assert all(0 < float(result[name]) <= 1 for name in set(nested.COLUMNS) - {"accepted@0.01"})


def test_notebook_of_others_trains() -> None:
    digits = load_dataset("digits", Path("unused"))
    embedder, seconds = rivals.train_notebook(digits, "float32", seed=0, steps=2)
    assert embedder(torch.zeros(3, 1, 28, 28)).shape == (3, 64)
    assert seconds > 0


def test_what_a_gradient_is_beside_that_of_one_process() -> None:
    wanted = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert gathered.verdict(wanted.clone(), wanted) == "agrees"
    assert gathered.verdict(2 * wanted, wanted) == "× 2"
    assert gathered.verdict(torch.tensor([3.0, 4.5]).double(), wanted) == "10 % off"


@pytest.mark.slow
def test_a_blank_picture_has_no_prediction(finished_run: Path) -> None:
    run = predict.circlemnist.load(finished_run)
    blank, digit = np.full((200, 200), 255.0), predict.drawn(load_digits().images[0])
    empty, answer = predict.predictions(run, [blank, digit])
    assert empty is None
    assert answer is not None


@pytest.mark.slow
def test_quality_of_a_small_training(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["quality", str(ROOT / "configs" / "fast.toml"), "--dataset", "digits", "--seeds", "2"]
    words += ["--jobs", "2", "--outputs", str(tmp_path), "--", "--epochs", "2"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    row = result.output.splitlines()[-1]
    assert re.fullmatch(r"\| fast \| \d\d\.\d+ ± \d.*\|", row), result.output
