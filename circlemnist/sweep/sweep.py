"""A sweep from its plan to its table: found or begun, walked, written, drawn."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.errors import SettingError
from circlemnist.evaluation.group import Cell, described, write_cells
from circlemnist.models.precision import resolve_device, resolve_precision
from circlemnist.runs.new_run import alone, check_name
from circlemnist.sweep.folder import (
    DATABASE,
    JOURNAL,
    SweepFolder,
    find_sweep,
    make_sweep,
)
from circlemnist.sweep.plan import Plan, Varied
from circlemnist.sweep.progress import SweepProgress
from circlemnist.sweep.run import Walk
from circlemnist.sweep.storage import Database, Journal
from circlemnist.sweep.study import SweepStudy, study_of
from circlemnist.training.progress import Mode
from circlemnist.training.signals import Stopped, StopSignals


@dataclass(frozen=True)
class Place:
    """Where a sweep is kept.

    Attributes:
        outputs: the folder of runs and sweeps.
        name: of the sweep; None for the one of the same plan, or for the time and what varies.
        storage: URL of a database; None for a journal in the sweep's folder.
    """

    outputs: Path
    name: str | None = None
    storage: str | None = None


@dataclass(frozen=True)
class Reached:
    """What a sweep has come to.

    Attributes:
        folder: its folder.
        plan: with the data set known.
        cells: those that are measured.
        failures: combinations that cannot be trained, and why.
        repeats: how many cells a search has drawn again, and not trained.
    """

    folder: SweepFolder
    plan: Plan
    cells: list[Cell]
    failures: list[tuple[Varied, str]]
    repeats: int = 0

    @property
    def about(self) -> str:
        """What was measured, in words."""
        first = self.plan.config(self.plan.grid[0], self.plan.seeds[0])
        dataset = "" if "dataset" in self.plan.grid[0] else f"{first.dataset}, "
        return f"{dataset}{self.plan.measured}"

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The failures with their settings in words."""
        return [(described(varied), reason) for varied, reason in self.failures]


class SweepInterrupted(Exception):
    """A signal stopped a sweep, whose cells keep every step that they have done.

    Attributes:
        exit_code: 128 and the number of the signal.
    """

    def __init__(self, reached: Reached, exit_code: int) -> None:
        count = f"{len(reached.cells)} of {reached.plan.cells} cells"
        super().__init__(
            f"stopped; {reached.folder.name} has {count}, and every step of the others"
        )
        self.exit_code = exit_code


def sweep(plan: Plan, place: Place, jobs: int, mode: Mode, say: Callable[[str], object]) -> Reached:
    """Train all cells of a plan, or those that are left, and write and draw what they reached.

    Args:
        plan: checked.
        jobs: cells trained at once.
        mode: how progress is shown.
        say: told, in a line, what the user should know.

    Raises:
        UserError: a setting, the data, the device, the storage or a folder is not usable, or
            another process walks the sweep; nothing is trained then.
        SweepInterrupted: SIGINT, SIGTERM or SIGHUP came while cells were trained.
        Stopped: one of them came before.
    """
    if place.name is not None:
        check_name(place.name)
    with StopSignals() as stop:
        database = None if place.storage is None else Database(place.storage)
        plan = on_data(plan, mode == "quiet", say)
        with _opened(plan, place, database) as (folder, study):

            def reached() -> Reached:
                return Reached(folder, plan, study.cells(), study.failures, study.repeats)

            progress = SweepProgress(mode, plan.cells, study.cells(), plan.metric, say)
            try:
                with stop.between_steps():
                    Walk(plan, folder, study, progress).to_end(jobs, stop)
            except Stopped as stopped:
                raise SweepInterrupted(reached(), stopped.exit_code) from None
            result = reached()
            write_cells(folder.results_file, result.cells)
            if result.cells and plan.axes:
                draw(result)
            return result


def on_data(plan: Plan, quiet: bool, say: Callable[[str], object]) -> Plan:
    """Return the plan with its data set known, there, and large enough for all cells.

    Raises:
        UserError: the data cannot be had, a setting does not fit it, or the device or the precision
            is not there.
    """
    loaded: dict[tuple[str, str], Dataset] = {}

    def dataset_of(name: str, data_dir: str) -> Dataset:
        if (name, data_dir) not in loaded:
            dataset = load_dataset(name, Path(data_dir), quiet=quiet, say=say)
            loaded[name, data_dir] = loaded[dataset.name, data_dir] = dataset
        return loaded[name, data_dir]

    for device, precision in sorted({(c.device, c.precision) for _, c in plan.configs()}):
        resolve_precision(precision, resolve_device(device))
    first = plan.config(plan.grid[0], plan.seeds[0])
    if first.dataset == "auto":
        plan = plan.on(dataset_of("auto", first.data_dir).name)
    for _, config in plan.configs():
        dataset = dataset_of(config.dataset, config.data_dir).used_by(config)
        if config.batch_size > (left := len(dataset.train)):
            raise SettingError("batch_size", f"must be ≤ {left}, the training images")
    return plan


def draw(reached: Reached) -> Path:
    """Draw what a sweep reached, by its metric, into its folder; return the picture's path.

    Raises:
        UserError: it cannot be written.
    """
    from circlemnist.plots.draw import save
    from circlemnist.plots.style import Style
    from circlemnist.plots.sweep import draw_cells

    style, metric = Style(), reached.plan.metric
    path = reached.folder.plots / f"{metric.replace('/', '-')}.png"
    save(draw_cells(reached.cells, metric, style, reached.about), path, style.width)
    return path


@contextmanager
def _opened(
    plan: Plan, place: Place, database: Database | None
) -> Iterator[tuple[SweepFolder, SweepStudy]]:
    """Give the folder and the study of a plan, those that are there or new ones."""
    if database is None:
        folder = find_sweep(place.outputs, place.name, plan, JOURNAL)
        folder = folder or make_sweep(place.outputs, place.name, plan, JOURNAL)
        with alone(folder.folder, "swept"):
            yield folder, SweepStudy(Journal(folder.journal_file), folder.name, plan)
        return
    try:
        with database.reached(), database.in_turn(plan.identity):
            found = find_sweep(place.outputs, place.name, plan, DATABASE)
            name = found.name if found else place.name or study_of(database, plan)
            if name is None:
                found = make_sweep(place.outputs, None, plan, DATABASE)
            # ahead of the folder: it refuses a study of another sweep
            study = SweepStudy(database, found.name if found else str(name), plan)
            folder = found or make_sweep(place.outputs, name, plan, DATABASE)
        yield folder, study
    finally:
        database.close()
