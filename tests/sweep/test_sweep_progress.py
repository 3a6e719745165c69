"""What a person sees while a sweep runs, and what it makes of the answers of its workers."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from circlemnist.config import Config
from circlemnist.evaluation.metric_names import METRICS, OF_UNSEEN
from circlemnist.sweep.plan import Axis, Plan
from circlemnist.sweep.run import SweepProgress
from circlemnist.sweep.storage import Journal
from circlemnist.sweep.study import Claim
from circlemnist.sweep.worker import Answer
from tests.conftest import Terminal, invoke
from tests.sweep.sweeping import read_results

GRID = ("sweep", "--dataset", "digits", "--vary", "m=0,0.1", "--seeds", 2, "--name", "some")


@pytest.mark.parametrize("width", [40, 80])
def test_bar_is_of_the_cells_from_its_first_frame_on(width: int, terminal: Terminal) -> None:
    sent = terminal(width)
    said: list[str] = []
    plan = Plan({}, (Axis("m", (0.1, 0.2, 0.3, 0.4)),), (0,), None, "eer")
    progress = SweepProgress("bar", plan, [0.0234], said.append)
    progress.show(1)
    shown = sent()
    # the cell that was there before took no time of this bar
    assert shown.split("\r")[-1].rstrip().endswith("? left  best eer 2.34")
    progress.cell("m=0.2 seed=0", 0.0123, 2)
    progress.note("look out")
    shown += sent()
    frames = [frame for frame in re.split(r"[\r\n]+", shown) if frame.strip()]
    assert {len(frame) for frame in frames} == {width - 1}
    counts = [int(frame.split("/")[0]) for frame in frames]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 2)
    assert frames[-1].endswith(" left  best eer 1.23")
    assert said == ["look out"]
    progress.close()
    assert sent().split("\r")[-1].strip() == ""


def done(value: float) -> Answer:
    return Answer("done", {name: value for name in METRICS if name not in OF_UNSEEN})


FAILED = Answer("failed", {}, "it diverges")


class Scripted:
    """Workers that answer for each cell what a list says; None where they die."""

    def __init__(self, script: dict[str, list[Answer | None]], threads: int) -> None:
        self.script, self.threads, self.most = script, threads, 0
        self.given: list[tuple[Claim, str]] = []
        self.configs: dict[str, Config] = {}

    @property
    def busy(self) -> int:
        return len(self.given)

    def give(self, claim: Claim, config: Config, folder: Path) -> None:
        self.given.append((claim, folder.name))
        self.configs[folder.name] = config
        self.most = max(self.most, self.busy)

    def answers(self, _seconds: float) -> Iterator[tuple[Claim, Answer | None]]:
        claim, name = self.given[0]
        answer = self.script[name].pop(0)
        if answer is None or answer.kind != "note":
            self.given.pop(0)
        yield claim, answer

    def close(self) -> None:
        pass


Answers = dict[str, list[Answer | None]]


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], list[Scripted]]:
    """Let the workers of sweeps follow a script, and return them as they are made."""

    def script(answers: Answers) -> list[Scripted]:
        made: list[Scripted] = []

        def workers(threads: int) -> Scripted:
            made.append(Scripted(answers, threads))
            return made[-1]

        monkeypatch.setattr("circlemnist.sweep.run.Workers", workers)
        return made

    return script


@pytest.mark.parametrize(("jobs", "threads"), [(1, 6), (2, 3), (12, 1)])
def test_each_answer_is_told_and_the_other_cells_are_trained(
    jobs: int,
    threads: int,
    follow: Callable[[Answers], list[Scripted]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beats: list[object] = []
    monkeypatch.setattr("torch.get_num_threads", lambda: 6)
    monkeypatch.setattr("circlemnist.sweep.study.HEARTBEAT", 0)
    monkeypatch.setattr(Journal, "beat", lambda *beat: beats.append(beat))
    note = Answer("note", {}, "look out")
    answers: Answers = {
        "m0_seed0": [None, note, None, done(0.9)],
        "m0_seed1": [done(0.8)],
        "m0.1_seed0": [FAILED],
        "m0.1_seed1": [done(0.7)],
    }
    made = follow(answers)
    result = invoke(*GRID, "--jobs", jobs, "--outputs", tmp_path)
    assert result.exit_code == 0, result.output
    (workers,) = made
    assert (workers.threads, workers.most) == (threads, min(jobs, 4))
    assert len(beats) > 4  # not only as a cell is claimed
    assert not any(answers.values())
    assert {(name, c.m, c.seed) for name, c in workers.configs.items()} == {
        (f"m{m:g}_seed{seed}", m, seed) for m in (0.0, 0.1) for seed in (0, 1)
    }
    died = "m 0, seed 0: its worker died, and another goes on with it"
    said = [died, "m 0, seed 0: look out", died, "m 0.1 failed: it diverges"]
    assert sorted(result.stderr.splitlines()) == sorted(said)
    lines = [line for line in result.stdout.splitlines() if re.match("[1-4]/4 ", line)]
    cells = {line.split("  ")[1]: line.split("  ")[2] for line in lines}
    values = {"m 0, seed 0": 90, "m 0, seed 1": 80, "m 0.1, seed 1": 70}
    assert cells == {cell: f"1nn {value}.00" for cell, value in values.items()}
    assert "3 cells of 4" in result.stdout
    assert "failed: m 0.1: it diverges" in result.stdout
    rows = read_results(tmp_path / "some")
    assert [row["1nn"] for row in rows] == ["0.9", "0.8", "0.7"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([None, None, None], "m 0, seed 0: its worker died 3 times; lower --jobs"),
        ([Answer("error", {}, "no room for `jobs`")], "Error: no room for --jobs"),
    ],
)
def test_sweep_ends_where_a_cell_cannot_go_on(
    answers: list[Answer | None],
    words: str,
    follow: Callable[[Answers], list[Scripted]],
    tmp_path: Path,
) -> None:
    follow({"m0_seed0": answers})
    result = invoke(*GRID, "--outputs", tmp_path, "--quiet")
    assert result.stderr.splitlines()[-1].endswith(words)
    assert result.exit_code == 1
    assert not (tmp_path / "some" / "results.csv").exists()


def test_search_trains_each_trial_with_all_seeds_in_a_folder_of_its_number(
    follow: Callable[[Answers], list[Scripted]], tmp_path: Path
) -> None:
    names = [f"trial{trial}_seed{seed}" for trial in (0, 1) for seed in (3, 4)]
    made = follow({name: [done(value / 10)] for value, name in enumerate(names, 1)})
    search = ("--vary", "lr=0.01..0.5", "--trials", 2, "--seeds", 2, "--seed", 3, "--metric", "eer")
    args = ("--dataset", "digits", *search, "--name", "some", "--outputs", tmp_path)
    result = invoke("sweep", *args)
    assert result.exit_code == 0, result.output
    assert list(made[0].configs) == names
    rows = read_results(tmp_path / "some")
    assert [(row["seed"], row["eer"]) for row in rows] == [
        *(("3", "0.1"), ("4", "0.2"), ("3", "0.3"), ("4", "0.4"))
    ]
    assert [float(row["lr"]) for row in rows] == [made[0].configs[name].lr for name in names]
    assert (tmp_path / "some" / "plots" / "eer.png").exists()
    (best,) = (line for line in result.stdout.splitlines() if line.endswith("best"))
    assert "15.00 ±" in best


@pytest.mark.parametrize(("answer", "rows"), [(done(0.5), ["0.5"]), (FAILED, [])])
def test_sweep_of_one_cell_is_a_sweep(
    answer: Answer, rows: list[str], follow: Callable[[Answers], list[Scripted]], tmp_path: Path
) -> None:
    follow({"m0_seed0": [answer]})
    args = ("--dataset", "digits", "--vary", "m=0", "--name", "some", "--outputs", tmp_path)
    result = invoke("sweep", *args)
    assert result.exit_code == 0, result.output
    assert f"{len(rows)} cells of 1, evaluated on digits, 287 validation images" in result.stdout
    text = (tmp_path / "some" / "results.csv").read_text()
    assert [row["1nn"] for row in csv.DictReader(text.splitlines())] == rows
    assert (tmp_path / "some" / "plots").exists() == bool(rows)
