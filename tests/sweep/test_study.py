"""The queue of a sweep in a journal, without training anything."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from circlemnist.errors import UserError
from circlemnist.limits import Value
from circlemnist.sweep.plan import Axis, Plan
from circlemnist.sweep.storage import Database, Journal
from circlemnist.sweep.study import Claim, SweepStudy

GRID = Plan({}, (Axis("dim", (2, 4)), Axis("augment", (True, False))), (0, 1), None, "1nn")
SEARCH = Plan({}, (Axis("dim", bounds=(2, 400)), Axis("m", bounds=(0, 0.5))), (0, 1), 4, "1nn")
PLANS = pytest.mark.parametrize("plan", [GRID, SEARCH], ids=["grid", "search"])
Cell = tuple[Value, ...]  # the values of its settings, and the seed


def begin(folder: Path, plan: Plan) -> SweepStudy:
    """The study of a new process, which has the lock of the folder."""
    return SweepStudy(Journal(folder / "journal.log"), "some", plan)


def claim_of(study: SweepStudy) -> Claim:
    claim = study.claim()
    assert claim is not None
    return claim


def metrics(cell: Cell) -> dict[str, float]:
    """Metrics that no other cell has."""
    return {"1nn": sum(map(float, cell[:-1])) + 1000 * float(cell[-1])}


def train_next(study: SweepStudy, claim: Claim) -> Cell:
    cell = (*claim.varied.values(), claim.seeds[0])
    study.record(claim, metrics(cell))
    return cell


def train_all(study: SweepStudy) -> list[Cell]:
    """Train what is left, and return the cells that were trained."""
    trained = []
    while claim := study.claim():
        while claim.seeds:
            trained.append(train_next(study, claim))
    return trained


def cells_of(study: SweepStudy) -> list[Cell]:
    """The cells that are evaluated, whose metrics are checked."""
    cells = [
        ((*group.settings.values(), seed), of_seed)
        for group in study.groups()
        for seed, of_seed in group.metrics.items()
    ]
    assert all(of_seed == metrics(cell) for cell, of_seed in cells)
    return [cell for cell, _ in cells]


def die_training(study: SweepStudy, opened: optuna.Study) -> None:
    claim_of(study)


def die_between_seeds(study: SweepStudy, opened: optuna.Study) -> None:
    train_next(study, claim_of(study))


def die_before_the_end(study: SweepStudy, opened: optuna.Study) -> None:
    claim = claim_of(study)
    for seed in claim.seeds:
        claim.trial.set_user_attr(str(seed), metrics((*claim.varied.values(), seed)))


def die_asking(study: SweepStudy, opened: optuna.Study) -> None:
    opened.ask()


def die_amid_a_retry(study: SweepStudy, opened: optuna.Study) -> None:
    opened.tell(claim_of(study).trial.number, state=TrialState.FAIL)


@PLANS
@pytest.mark.parametrize(
    "die", [die_training, die_between_seeds, die_before_the_end, die_asking, die_amid_a_retry]
)
def test_training_of_a_dead_process_comes_back_as_it_was(
    die: Callable[[SweepStudy, optuna.Study], None], plan: Plan, tmp_path: Path
) -> None:
    """However often, and wherever in it the process dies: the cells are those of a calm sweep."""
    (tmp_path / "calm").mkdir()
    expected = train_all(begin(tmp_path / "calm", plan))
    for _ in range(3):
        study = begin(tmp_path, plan)
        storage = Journal(tmp_path / "journal.log").storage
        die(study, optuna.load_study(study_name="some", storage=storage))
        assert study.done < plan.cells
    last = begin(tmp_path, plan)
    assert cells_of(last) + train_all(last) == expected == cells_of(last)
    assert last.done == plan.cells
    assert last.failures == []


def test_retries_of_a_search_keep_the_key_of_their_run_folders(tmp_path: Path) -> None:
    claims = [claim_of(begin(tmp_path, SEARCH)) for _ in range(4)]
    assert {claim.key for claim in claims} == {0}
    assert len({tuple(claim.varied.values()) for claim in claims}) == 1


@PLANS
def test_a_training_that_cannot_be_done_is_not_tried_again(plan: Plan, tmp_path: Path) -> None:
    study = begin(tmp_path, plan)
    claim = claim_of(study)
    study.fail(claim, "it diverges")
    again = begin(tmp_path, plan)
    assert len(train_all(again)) == plan.cells - len(claim.seeds)
    assert again.failures == [(claim.varied, "it diverges")]
    assert again.done == plan.cells


def test_a_search_does_not_train_the_same_again(tmp_path: Path) -> None:
    study = begin(tmp_path, Plan({}, (Axis("dim", bounds=(2, 4)),), (0, 1), 12, "1nn"))
    trained = train_all(study)
    assert cells_of(study) == trained
    assert len(set(trained)) == len(trained) <= 6
    assert (study.done, study.repeats) == (24, 24 - len(trained))


def test_half_a_line_of_a_journal_and_its_lock_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "journal.log"
    first = Journal(file).storage.create_new_study([], "first")
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    file.with_name("journal.log.lock").touch()
    again = Journal(file).storage
    assert again.get_study_id_from_name("first") == first
    again.create_new_study([], "second")
    assert len(Journal(file).storage.get_all_studies()) == 2


def test_journal_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    study = begin(tmp_path, GRID)
    file = tmp_path / "journal.log"
    file.unlink()
    file.mkdir()
    for work in (lambda: study.claim(), lambda: begin(tmp_path, GRID)):
        with pytest.raises(UserError, match=f"^cannot write {re.escape(str(file))}: "):
            work()


def test_heartbeats_are_of_the_trials_in_hand_and_come_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, beats, now = begin(tmp_path, GRID), list[tuple[str, int]](), 1000.0
    claims = [claim_of(study) for _ in range(3)]
    monkeypatch.setattr(Journal, "beat", lambda _, name, number: beats.append((name, number)))
    monkeypatch.setattr("time.monotonic", lambda: now)
    for later, alive in ((0, claims), (4, ()), (2, claims[1:]), (0, ()), (9, claims[2:])):
        now += later
        study.beat()
        assert sorted(beats) == [("some", claim.trial.number) for claim in alive]
        beats.clear()
        if later == 4:
            train_next(study, claims[0])
        elif later == 2:
            study.fail(claims[1], "it diverges")


@pytest.fixture
def locked() -> list[int]:
    """The keys of the locks that were taken in a database."""
    return []


@pytest.fixture
def new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: list[int]
) -> Iterator[Callable[..., SweepStudy]]:
    """What opens a study as another process of a sweep in a database, which is one of SQLite."""
    file, make_engine, make_storage = tmp_path / "a.db", sqlalchemy.create_engine, RDBStorage

    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.create_function("pg_advisory_xact_lock", 1, locked.append)
        connection.execute("pragma synchronous=off")  # which is quicker

    monkeypatch.setattr(
        "sqlalchemy.create_engine", lambda _, **__: make_engine(f"sqlite:///{file}")
    )
    monkeypatch.setattr(
        "circlemnist.sweep.storage.RDBStorage",
        lambda _url, _options, **more: make_storage(f"sqlite:///{file}", **more),
    )
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", prepare)
    yield lambda plan, name="some": SweepStudy(Database("postgresql://there/a"), name, plan)
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", prepare)


@PLANS
def test_processes_share_a_database(plan: Plan, new_process: Callable[..., SweepStudy]) -> None:
    """A trial that another one trains is not claimed, nor one that it asked for and beats for."""
    here, there = new_process(plan), new_process(plan)
    claim, other = claim_of(here), claim_of(there)
    assert claim.key != other.key
    here.beat()
    trained = train_all(there)
    assert len(trained) == plan.cells - len(claim.seeds) - len(other.seeds)
    while other.seeds:
        train_next(there, other)
    assert there.claim() is None
    while claim.seeds:
        train_next(here, claim)
    assert here.done == there.done == plan.cells
    assert here.groups() == there.groups()


def test_study_of_another_plan_is_refused(new_process: Callable[..., SweepStudy]) -> None:
    new_process(GRID, "first")
    another = Plan({}, (Axis("dim", (2, 8)),), (0,), None, "1nn")
    with pytest.raises(UserError, match="study first of another sweep: give another `name`"):
        new_process(another, "first")
