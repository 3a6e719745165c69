"""The commands: parse, call, print.

    circlemnist train --gamma 80 --m 0.25
    circlemnist eval
    circlemnist plot

Torch and matplotlib are imported inside the commands, so that `--help` answers at once.
"""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import circlemnist
from circlemnist.cli.one_line_errors import OneLineErrors
from circlemnist.cli.options import (
    OUTPUTS,
    PrintablePath,
    config_option,
    flag,
    outputs_option,
    run_options,
    setting_options,
)
from circlemnist.cli.report import SHORT_TABLE, as_table
from circlemnist.config import Config
from circlemnist.plots.projection import METHODS
from circlemnist.runs.run import Run, find_run, has_runs
from circlemnist.training.streams import unread_is_fine

KINDS = (
    "embedding",
    "circle",
    "history",
    "gradients",
    "similarities",
    "neighbors",
    "confusion",
    "animation",
)
RESUMABLE = ("data_dir", "device", "outputs", "resume", "dry_run", "quiet")


@click.group(
    "circlemnist", cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(circlemnist.__version__, prog_name="circlemnist")
def main() -> None:
    """See deep metric learning work: Circle Loss on MNIST, trained, measured and drawn.

    \b
    circlemnist train --gamma 80 --m 0.25     learn an embedding
    circlemnist eval                          measure the newest run
    circlemnist plot                          look at it
    """


@main.command()
@setting_options
@config_option
@click.option("--name", help="name of the run  [default: the time, gamma and m]")
@outputs_option
@click.option("--resume", metavar="RUN", help="continue a run, by its name or folder")
@click.option("--dry-run", is_flag=True, help="print the resolved settings as TOML and stop")
@click.option("--quiet", is_flag=True, help="no progress, only the result")
@click.pass_context
def train(
    ctx: click.Context,
    /,
    config: Path | None,
    name: str | None,
    outputs: Path,
    resume: str | None,
    dry_run: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train an embedder and measure it on the test split.

    \b
    Examples:
      circlemnist train --gamma 80 --m 0.25
      circlemnist train --config configs/fast.toml --lr 0.02
      circlemnist train --resume 2026-11-23_12-15-02_gamma80_m0.25
    """
    run = None if resume is None else find_run(outputs, resume)
    resolved = Config(**settings) if run is None else resumed_config(ctx, run)
    if dry_run:
        click.echo(resolved.to_toml(), nl=False)
        return

    from circlemnist.experiments import jobs
    from circlemnist.training.progress import Mode

    mode: Mode = "quiet" if quiet else "bar" if sys.stderr.isatty() else "lines"
    try:
        run, evaluation = jobs.train(resolved, outputs, name, run, mode, say)
    except jobs.Interrupted as interrupted:
        command = shlex.join(["circlemnist", "train", "--resume", reference(interrupted.run)])
        say(f"{interrupted}; continue with: {command}")
        ctx.exit(interrupted.exit_code)
    click.echo(as_table(evaluation, SHORT_TABLE))
    click.echo(f"run: {run.folder}")
    click.echo(f"pictures: {run.plots}")
    newest = resume is None and run.folder.parent == OUTPUTS.resolve()
    target = [] if newest else [reference(run)]
    click.echo(f"next: {shlex.join(['circlemnist', 'plot', *target])}")


def resumed_config(ctx: click.Context, run: Run) -> Config:
    """Return the settings of a run to continue, which flags may not change.

    Raises:
        click.UsageError: a flag would change a setting that makes the run what it is.
    """
    given = [name for name in ctx.params if from_command_line(ctx, name)]
    for name in given:
        if name not in RESUMABLE:
            raise click.UsageError(
                f"{flag(name)} cannot be given with --resume: {run.name} has its own settings"
            )
    changed = {name: ctx.params[name] for name in given if name in ("data_dir", "device")}
    return replace(run.config(), **changed)


def from_command_line(ctx: click.Context, name: str) -> bool:
    """Tell whether the user typed the flag of `name`."""
    return ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE


def reference(run: Run) -> str:
    """Return what names the run to a command: its name in `outputs`, or else its folder."""
    return run.name if run.folder.parent == OUTPUTS.resolve() else str(run.folder)


def has_display() -> bool:
    """Tell whether a window can open; only Linux and its like say so in the environment."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show_in(place: str, path: Path) -> None:
    """Open a file in the program for its kind, or say that there is no `place` for it."""
    if not (has_display() and click.launch(str(path)) == 0):
        say(f"there is no {place} it in: open {path} yourself")


def say(message: str) -> None:
    """Tell the user something that is not a result."""
    with unread_is_fine(sys.stderr):
        click.echo(message, err=True)


@main.command("eval")
@run_options
@click.option("--json", "for_machines", is_flag=True, help="print JSON instead of a table")
def evaluate(
    run_name: str | None, outputs: Path, data_dir: str | None, device: str, for_machines: bool
) -> None:
    """Measure a run on the test split; by default the newest run.

    RUN is the name or the folder of a run. The training split is the gallery of 1-NN, 20-NN and
    the centroids; retrieval and verification are within the test split.

    \b
    Examples:
      circlemnist eval
      circlemnist eval 2026-11-23_12-15-02_gamma80_m0.25 --json
    """
    run = find_run(outputs, run_name)

    from circlemnist.experiments import jobs

    evaluation = jobs.evaluate(run, data_dir, device)
    click.echo(evaluation.to_json() if for_machines else as_table(evaluation))


projection_option = click.option(
    "--projection",
    type=click.Choice(METHODS),
    default=METHODS[0],
    show_default=True,
    help="how more than three dimensions become two",
)
theme_option = click.option(
    "--theme",
    type=click.Choice(["light", "dark"]),
    default="light",
    show_default=True,
    help="colours",
)


@main.command()
@run_options
@click.option(
    "--kind",
    "kinds",
    type=click.Choice([*KINDS, "all"]),
    multiple=True,
    default=["embedding"],
    show_default=True,
    help="what to draw; several, or all",
)
@click.option(
    "--split",
    type=click.Choice(["test", "train", "both"]),
    default="test",
    show_default=True,
    help="images of the scatter plot",
)
@projection_option
@theme_option
@click.option(
    "--width",
    type=click.IntRange(200, 10_000),
    default=1200,
    show_default=True,
    help="of a PNG, GIF or MP4, in pixels",
)
@click.option(
    "--out",
    type=PrintablePath(dir_okay=False),
    help=".png, .svg or .pdf file, .gif or .mp4 of an animation  [default: in the run's plots/]",
)
@click.option("--show", is_flag=True, help="open the pictures in a window")
def plot(
    run_name: str | None,
    outputs: Path,
    data_dir: str | None,
    device: str,
    kinds: tuple[str, ...],
    split: str,
    projection: str,
    theme: str,
    width: int,
    out: Path | None,
    show: bool,
) -> None:
    """Draw a run; by default the test embeddings of the newest run as a scatter plot.

    RUN is the name or the folder of a run. `gradients` needs none.

    \b
    embedding      the embedding space, with the mistakes
    circle         all pairs in the (s_n, s_p) plane, and the decision circle
    history        loss, similarities and learning rate over the epochs
    gradients      what triplet loss, AM-Softmax and Circle Loss pull at
    similarities   cosines within and between classes, and the ROC curve
    neighbors      the hardest images and their nearest ones
    confusion      the 1-NN confusion matrix
    animation      the space as it forms, of a run with --snapshots

    \b
    Examples:
      circlemnist plot
      circlemnist plot --kind circle --kind history --theme dark
      circlemnist plot --projection pca --out embedding.svg
    """
    if out is not None and (len(kinds) > 1 or "all" in kinds):
        raise click.UsageError("--out takes one picture: give one --kind")
    needs_run = set(kinds) != {"gradients"} or run_name is not None
    run = find_run(outputs, run_name) if needs_run or has_runs(outputs) else None
    if "all" in kinds:
        assert run is not None
        kinds = tuple(k for k in KINDS if k != "animation" or run.snapshots_file.exists())

    from circlemnist.evaluation.trained_run import TrainedRun
    from circlemnist.experiments import jobs
    from circlemnist.plots.pictures import Style
    from circlemnist.plots.style import THEMES

    trained = None if run is None else TrainedRun(run, data_dir, device)
    style = Style(THEMES[theme], projection, split)
    quiet = not sys.stderr.isatty()
    for path in jobs.plot(trained, list(dict.fromkeys(kinds)), style, out, width, quiet):
        click.echo(f"picture: {path}")
        if show:
            show_in("window to show", path)


@main.command()
@run_options
@projection_option
@theme_option
@click.option(
    "--out",
    type=PrintablePath(dir_okay=False),
    help=".html file  [default: plots/explorer.html in the run]",
)
@click.option("--open", "open_it", is_flag=True, help="open it in the browser")
def explore(
    run_name: str | None,
    outputs: Path,
    data_dir: str | None,
    device: str,
    projection: str,
    theme: str,
    out: Path | None,
    open_it: bool,
) -> None:
    """Write a page to walk through the embedding space; it needs no network.

    RUN is the name or the folder of a run; by default the newest. Of a run with --snapshots, the
    page shows how the space formed, too.

    \b
    Examples:
      circlemnist explore --open
      circlemnist explore --theme dark --out space.html
    """
    run = find_run(outputs, run_name)

    from circlemnist.evaluation.trained_run import TrainedRun
    from circlemnist.experiments import jobs
    from circlemnist.plots.pictures import Style
    from circlemnist.plots.style import THEMES

    style = Style(THEMES[theme], projection)
    path = jobs.explore(TrainedRun(run, data_dir, device), style, out)
    click.echo(f"page: {path}")
    if open_it:
        show_in("browser to open", path)
