"""`circlemnist sweep`."""

import re
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from circlemnist.cli.messages import flag, say
from circlemnist.cli.options import (
    GroupedCommand,
    NearestChoice,
    config_option,
    dropped_from_file,
    outputs_option,
    refuse_unused_flags,
    setting_options,
    typed,
)
from circlemnist.cli.tables import sweep_table
from circlemnist.errors import SettingError
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.process import last_words
from circlemnist.sweep.plan import HOLDOUT, Plan, parse_axis

# a sweep chooses, so it does not look at the test images unless the user asks for it
VALIDATION = {
    "default": None,
    "show_default": False,
    "help": "size of the validation set: the last training images; 0: test set  "
    f"[default: {HOLDOUT['mnist']}; digits: {HOLDOUT['digits']}; a folder: a fifth]",
}
# the password in the URL of a database
SECRET = re.compile(r"(://[^/:]*:).*(?=@)|(password=)[^&]*")
FIRST_SEED = {"help": "first of --seeds"}


@click.command(cls=GroupedCommand)
@click.option(
    "--vary",
    "varied",
    metavar="KEY=V1,V2,…",
    multiple=True,
    help="setting and its values; repeatable; with --trials also KEY=LOW..HIGH[:log]",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="number of seeds for each combination",
)
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    help="number of combinations that a search tries, by TPE  [default: all, in a grid]",
)
@click.option(
    "--metric",
    type=NearestChoice(list(METRICS)),
    default="1nn",
    show_default=True,
    help="metric of `circlemnist eval` that a search improves and the plots show",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="number of trainings at once, which share the cores",
)
@click.option(
    "--storage",
    metavar="URL",
    help="postgresql://… for several machines  [default: a file in the sweep's folder]",
)
@partial(setting_options, changes={"holdout": VALIDATION, "seed": FIRST_SEED})
@config_option
@click.option("--name", help="name of the sweep  [default: by the settings]")
@outputs_option
@click.option("--quiet", is_flag=True, help="show no progress, only the result")
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
    """Train every combination of some settings, and compare them.

    A sweep evaluates on validation images, with 10,000 training images as the gallery. With
    --holdout 0 it evaluates on the test images, with all training images. The same command
    continues a stopped sweep, or shows its result.

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
        words = [SECRET.sub(r"\1\2***", word) for word in sys.argv[1:]]
        command = shlex.join(["circlemnist", *words])
        last_words(f"{interrupted}; continue with the same command: {command}")
        ctx.exit(interrupted.exit_code)
    click.echo(sweep_table(result))
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
    """Return what the flags ask for, checked; refuse flags that change nothing."""
    axes = tuple(parse_axis(text) for text in varied)
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise SettingError("vary", f"has {name} twice: give all its values at once")
        if typed(ctx, name):
            raise click.UsageError(f"{flag(name)} cannot be given where it is varied")
    if trials is not None and not axes:
        raise SettingError("trials", "needs something to `vary`")
    common = {k: v for k, v in settings.items() if v is not None and k not in (*names, "seed")}
    if not typed(ctx, "holdout") and not common.get("holdout"):
        common.pop("holdout", None)  # a file of all settings has 0, which nobody asked for
    chosen = {k: v for k, v in settings.items() if typed(ctx, k)} | dict.fromkeys(names)
    for dropped in dropped_from_file(ctx, chosen):
        common.pop(dropped, None)
    first = settings["seed"]
    plan = Plan(common, axes, tuple(range(first, first + seeds)), trials, metric)
    plan.check()
    refuse_unused_flags(ctx, {axis.name: axis.ends for axis in axes})
    return plan
