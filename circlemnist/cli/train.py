"""`circlemnist train`."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from circlemnist.cli import options
from circlemnist.cli.messages import flag, say
from circlemnist.cli.tables import SHORT_TABLE, report_table
from circlemnist.config import MACHINE_SETTINGS, Config
from circlemnist.process import COURTESY, last_words, loading, torchrun_ranks, wait_for_rank_zero
from circlemnist.runs.run import Run, find_run

RESUMABLE = (*MACHINE_SETTINGS, "outputs", "resume", "dry_run", "quiet", "tensorboard")


@click.command(cls=options.GroupedCommand)
@options.setting_options
@options.config_option
@click.option("--name", help="name of the run  [default: time, loss, gamma and m]")
@options.outputs_option
@click.option(
    "--resume",
    metavar="RUN",
    shell_complete=options.runs,
    help="continue a stopped run, by its name or folder",
)
@click.option("--dry-run", is_flag=True, help="print all settings as TOML, without training")
@click.option(
    "--tensorboard",
    is_flag=True,
    help="also write event files for TensorBoard",
)
@click.option("--quiet", is_flag=True, help="show no progress, only the result")
@click.pass_context
def train(
    ctx: click.Context,
    /,
    config: Path | None,
    name: str | None,
    outputs: Path,
    resume: str | None,
    dry_run: bool,
    tensorboard: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a network, evaluate it on the test set, and plot it.

    \b
    Examples:
      circlemnist train --gamma 80 --m 0.25
      circlemnist train --config fast --lr 0.02
      circlemnist train --resume 2026-11-23_12-15-02_circle_gamma80_m0.25
    """
    run = None if resume is None else find_run(outputs, resume)
    resolved = new_config(ctx, settings) if run is None else resumed_config(ctx, run)
    is_rank_zero = torchrun_ranks().rank == 0
    if dry_run:
        if is_rank_zero:
            click.echo(resolved.to_toml(), nl=False)
        return

    with loading(shown=not quiet):
        from circlemnist.training.progress import mode_for
        from circlemnist.training.run import Interrupted
        from circlemnist.training.run import train as train_run

    try:
        run, report = train_run(resolved, outputs, name, run, mode_for(quiet), say, tensorboard)
    except Interrupted as interrupted:
        again = ["circlemnist", "train", "--resume", reference(interrupted.run)]
        if tensorboard:
            again.append("--tensorboard")
        if resume is not None:  # a new run has them in its settings
            changed = [name for name in MACHINE_SETTINGS if options.typed(ctx, name)]
            again += [word for name in changed for word in (flag(name), str(settings[name]))]
        wait_for_rank_zero(COURTESY)
        if is_rank_zero:
            last_words(f"{interrupted}; continue with: {shlex.join(again)}")
        ctx.exit(interrupted.exit_code)
    if report is None:  # rank 0 prints it
        return
    click.echo(report_table(report, SHORT_TABLE))
    if not quiet:
        click.echo("(Epochs: s_p and s_n of augmented batches. Table: those of all test pairs.)")
    click.echo(f"run: {run.folder}")
    click.echo(f"pictures: {run.plots}")
    is_newest = resume is None and run.folder.parent == options.OUTPUTS.resolve()
    target = [] if is_newest else [reference(run)]
    click.echo(f"next: {shlex.join(['circlemnist', 'plot', *target])}")


def new_config(ctx: click.Context, settings: dict[str, Any]) -> Config:
    """Return the settings of a new run; raise click.UsageError for a flag without effect."""
    chosen = {name: value for name, value in settings.items() if options.typed(ctx, name)}
    config = Config(**{**settings, **dict.fromkeys(options.dropped_from_file(ctx, chosen))})
    options.refuse_unused_flags(ctx)
    return config


def resumed_config(ctx: click.Context, run: Run) -> Config:
    """Return the settings of a run to continue; raise click.UsageError for flags beside them."""
    flags = [name for name in ctx.params if options.typed(ctx, name)]
    for name in flags:
        if name not in RESUMABLE:
            problem = f"{flag(name)} cannot be given with --resume: {run.name} has its own settings"
            if name in ("epochs", "images"):
                problem += f": train a new run, --config {run.config_file}"
            raise click.UsageError(problem)
    return replace(
        run.config(), **{name: ctx.params[name] for name in flags if name in MACHINE_SETTINGS}
    )


def reference(run: Run) -> str:
    """Return what names the run to a command: its name in `outputs`, or else its folder."""
    return run.name if run.folder.parent == options.OUTPUTS.resolve() else str(run.folder)
