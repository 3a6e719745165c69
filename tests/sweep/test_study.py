"""The queue of a sweep in a journal, without training anything."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from circlemnist.evaluation.group import Cell
from circlemnist.limits import Value
from circlemnist.sweep.plan import Axis, Plan
from circlemnist.sweep.storage import Journal
from circlemnist.sweep.study import SweepStudy

GRID = Plan({}, (Axis("dim", (2, 4)), Axis("augment", (True, False))), (0, 1), None, "1nn")
SEARCH = Plan({}, (Axis("dim", bounds=(2, 400)), Axis("m", bounds=(0, 0.5))), (0, 1), 4, "1nn")
PLANS = pytest.mark.parametrize("plan", [GRID, SEARCH], ids=["grid", "search"])


def begin(folder: Path, plan: Plan) -> SweepStudy:
    """The study of a new process, which has the lock of the folder."""
    return SweepStudy(Journal(folder / "journal.log"), "some", plan)


def metrics(varied: dict[str, Value], seed: int) -> dict[str, float]:
    """Metrics that tell a cell from all others."""
    return {"1nn": sum(float(value) for value in varied.values()) + 1000 * seed}


def train_all(study: SweepStudy) -> list[Cell]:
    """Train what is left, and return the cells that were trained."""
    trained = []
    while claim := study.claim():
        while claim.seeds:
            cell = Cell(claim.varied, claim.seeds[0], metrics(claim.varied, claim.seeds[0]))
            study.record(claim, cell.metrics)
            trained.append(cell)
    return trained


def lose_one_that_trains(study: SweepStudy, opened: optuna.Study) -> None:
    assert study.claim() is not None


def lose_one_between_its_seeds(study: SweepStudy, opened: optuna.Study) -> None:
    claim = study.claim()
    assert claim is not None
    study.record(claim, metrics(claim.varied, claim.seeds[0]))


def lose_one_that_asks(study: SweepStudy, opened: optuna.Study) -> None:
    opened.ask()


def lose_one_amid_its_retry(study: SweepStudy, opened: optuna.Study) -> None:
    claim = study.claim()
    assert claim is not None
    opened.tell(claim.trial.number, state=TrialState.FAIL)


@PLANS
@pytest.mark.parametrize(
    "lose",
    [
        lose_one_that_trains,
        lose_one_between_its_seeds,
        lose_one_that_asks,
        lose_one_amid_its_retry,
    ],
)
def test_training_of_a_dead_process_comes_back_as_it_was(
    lose: Callable[[SweepStudy, optuna.Study], None], plan: Plan, tmp_path: Path
) -> None:
    """However often, and wherever in it the process dies: the cells are those of a calm sweep."""
    (tmp_path / "calm").mkdir()
    calm = begin(tmp_path / "calm", plan)
    expected = train_all(calm)
    for _ in range(3):
        study = begin(tmp_path, plan)
        storage = Journal(tmp_path / "journal.log").storage
        lose(study, optuna.load_study(study_name="some", storage=storage))
        assert not study.finished
    last = begin(tmp_path, plan)
    before = last.cells()
    assert before + train_all(last) == expected == last.cells() == calm.cells()
    assert last.finished
    assert last.failures == []


def test_retries_of_a_search_keep_the_key_of_their_run_folders(tmp_path: Path) -> None:
    claims = [begin(tmp_path, SEARCH).claim() for _ in range(4)]
    assert {claim.key for claim in claims if claim} == {0}
    assert len({tuple(claim.varied.values()) for claim in claims if claim}) == 1


@PLANS
def test_a_training_that_cannot_be_done_is_not_tried_again(plan: Plan, tmp_path: Path) -> None:
    study = begin(tmp_path, plan)
    claim = study.claim()
    assert claim is not None
    study.fail(claim, "it diverges")
    again = begin(tmp_path, plan)
    assert len(train_all(again)) == plan.cells - len(claim.seeds)
    assert again.failures == [(claim.varied, "it diverges")]
    assert again.finished


def test_study_of_the_first_format_goes_on(tmp_path: Path) -> None:
    """Its trials were claimed without a queue, and one was trained when its process died."""
    storage = Journal(tmp_path / "journal.log").storage
    study = optuna.create_study(study_name="some", storage=storage, direction="maximize")
    study.set_user_attr("identity", GRID.identity)
    study.set_user_attr("circlemnist_sweep", 1)
    values = {axis.name: CategoricalDistribution(axis.values) for axis in GRID.axes}
    values["seed"] = CategoricalDistribution(GRID.seeds)
    settings = {"dim": 4, "augment": True, "seed": 1}
    done = {"owner": "here 7", "1": {"1nn": 0.5}}
    study.add_trial(create_trial(value=0.5, params=settings, distributions=values, user_attrs=done))
    running = create_trial(
        state=TrialState.RUNNING,
        params={**settings, "seed": 0},
        distributions=values,
        user_attrs={"owner": "here 7"},
    )
    study.add_trial(running)
    now = begin(tmp_path, GRID)
    assert now.cells() == [Cell({"dim": 4, "augment": True}, 1, {"1nn": 0.5})]
    trained = train_all(now)
    assert (trained[0].varied, trained[0].seed) == ({"dim": 4, "augment": True}, 0)
    assert len(trained) == GRID.cells - 1
    assert now.finished


def test_a_search_does_not_train_the_same_again(tmp_path: Path) -> None:
    study = begin(tmp_path, Plan({}, (Axis("dim", bounds=(2, 4)),), (0, 1), 12, "1nn"))
    trained = train_all(study)
    assert study.cells() == trained
    assert len({(cell.varied["dim"], cell.seed) for cell in trained}) == len(trained) <= 6
    assert study.finished
    assert study.repeats == 24 - len(trained)


def test_half_a_line_of_a_journal_and_its_lock_are_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "journal.log"
    first = Journal(file).storage.create_new_study([], "first")
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    file.with_name("journal.log.lock").touch()
    again = Journal(file).storage
    assert again.get_study_id_from_name("first") == first
    again.create_new_study([], "second")
    assert len(Journal(file).storage.get_all_studies()) == 2
