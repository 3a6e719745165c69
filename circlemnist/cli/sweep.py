"""`circlemnist sweep`."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from circlemnist.cli.messages import flag, say, spelled
from circlemnist.cli.options import (
    NearestChoice,
    config_option,
    dropped_from_file,
    outputs_option,
    refuse_unused_flags,
    setting_options,
    typed,
)
from circlemnist.cli.tables import aligned
from circlemnist.errors import SettingError
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.sweep.plan import HOLDOUT, Plan, parse_axis

if TYPE_CHECKING:
    from circlemnist.sweep.run import SweepResult

# a sweep chooses, so it does not look at the test images unless it is told to
HELD_OUT = {
    "default": None,
    "show_default": False,
    "help": "last training images to keep out of training and measure on; 0 for the test images, "
    f"which then choose  [default: {HOLDOUT['mnist']}; digits: {HOLDOUT['digits']}]",
}
FIRST_SEED = {"help": "the first of --seeds"}
TABLE = ("1nn", "map@r", "eer")


@click.command()
@click.option(
    "--vary",
    "varied",
    metavar="KEY=V1,V2,…",
    multiple=True,
    help="a setting and its values; with --trials also KEY=LOW..HIGH, or LOW..HIGH:log",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="train each combination with so many seeds",
)
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    help="search so many combinations by TPE  [default: all, in a grid]",
)
@click.option(
    "--metric",
    type=NearestChoice(list(METRICS)),
    default="1nn",
    show_default=True,
    help="what is drawn, and searched by",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="trainings at once, each with its share of the cores",
)
@click.option(
    "--storage",
    metavar="URL",
    help="postgresql://… that several machines share  [default: a file in the sweep's folder]",
)
@partial(setting_options, changes={"holdout": HELD_OUT, "seed": FIRST_SEED})
@config_option
@click.option("--name", help="name of the sweep  [default: the time, and what is varied]")
@outputs_option
@click.option("--quiet", is_flag=True, help="no progress, only the result")
@click.pass_context
def sweep(
    ctx: click.Context,
    /,
    varied: tuple[str, ...],
    seeds: int,
    trials: int | None,
    metric: str,
    jobs: int,
    storage: str | None,
    config: Path | None,
    name: str | None,
    outputs: Path,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train every combination of some settings, and say which is best.

    Combinations are measured on training images that are held out, and compared with the first
    10,000 of the others; with --holdout 0 on the test images, and compared with all. The same
    command goes on where it was stopped, or shows what it found.

    \b
    Examples:
      circlemnist sweep --vary gamma=16,32,64,128,256 --vary m=0,0.1,0.25,0.4
      circlemnist sweep --vary loss=circle,triplet,arcface --seeds 5 --jobs 2
      circlemnist sweep --vary lr=0.01..0.5:log --vary dim=16..128 --trials 30
      circlemnist sweep --vary m=0,0.25 --storage postgresql://me@machine/sweeps
    """
    plan = new_plan(ctx, settings, varied, seeds, trials, metric)

    from circlemnist.sweep.run import SweepInterrupted, run_sweep
    from circlemnist.training.progress import mode_for

    try:
        result = run_sweep(plan, outputs, name, storage, jobs, mode_for(quiet), say)
    except SweepInterrupted as interrupted:
        command = shlex.join(["circlemnist", *sys.argv[1:]])
        say(f"{interrupted}; continue with the same command: {command}")
        ctx.exit(interrupted.exit_code)
    click.echo(as_table(result))
    click.echo(f"sweep: {result.folder.folder}")
    if result.folder.plots.exists():
        click.echo(f"pictures: {result.folder.plots}")


def new_plan(
    ctx: click.Context,
    settings: dict[str, Any],
    varied: tuple[str, ...],
    seeds: int,
    trials: int | None,
    metric: str,
) -> Plan:
    """Return what the flags ask for, checked.

    Raises:
        UserError: a value is not one of its setting, settings do not fit together, or two
            combinations are the same.
        click.UsageError: a flag was typed that changes nothing.
    """
    axes = tuple(parse_axis(text) for text in varied)
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise SettingError("vary", f"has {name} twice: give all its values at once")
        if typed(ctx, name):
            raise click.UsageError(f"{flag(name)} cannot be given where it is varied")
    if trials is not None and not axes:
        raise SettingError("trials", "needs something to `vary`")
    kept = {k: v for k, v in settings.items() if v is not None and k not in (*names, "seed")}
    if not typed(ctx, "holdout") and not kept.get("holdout"):
        kept.pop("holdout", None)  # a file of all settings has 0, which is not asked for there
    chosen = {k: v for k, v in settings.items() if typed(ctx, k)} | dict.fromkeys(names)
    for dropped in dropped_from_file(ctx, chosen):
        kept.pop(dropped, None)
    first = settings["seed"]
    plan = Plan(kept, axes, tuple(range(first, first + seeds)), trials, metric)
    plan.check()
    refuse_unused_flags(ctx, {axis.name: axis.ends for axis in axes})
    return plan


def as_table(result: "SweepResult") -> str:
    """Return an aligned table: a row a combination, its means over the seeds, the best marked."""
    from circlemnist.evaluation.group import best_of, described, outcomes_of, written

    plan, cells = result.plan, result.cells
    drawn = f" ({result.repeats:,} repeated)" if result.repeats else ""
    about = f"{len(cells):,} cells of {plan.cells:,}{drawn}, measured on {result.about}"
    lines = [spelled(f"failed: {described(v)}: {reason}") for v, reason in result.failures]
    if not cells:
        return "\n".join([about, *lines])
    metrics = list(dict.fromkeys([plan.metric, *TABLE]))
    columns = {key: outcomes_of(cells, key, METRICS[key].factor) for key in metrics}
    best = best_of(columns[plan.metric], METRICS[plan.metric])
    settings = list(best.varied)
    rows = [[*settings, *(key + METRICS[key].unit for key in metrics), ""]]
    for number, outcome in enumerate(columns[plan.metric]):
        shown = []
        for key in metrics:
            measure, of_key = METRICS[key], columns[key][number]
            spread = f" ± {measure.number(of_key.deviation)}" if len(of_key.values) > 1 else ""
            shown.append(measure.number(of_key.mean) + spread)
        mark = "best" if outcome is best else ""
        rows.append([*map(written, outcome.varied.values()), *shown, mark])
    return "\n".join([about, *lines, *aligned(list(zip(*rows, strict=True)), right=True)])
