"""The commands: parse, call, print.

    circlemnist train --gamma 80 --m 0.25
    circlemnist eval
    circlemnist plot

Torch and matplotlib are imported inside the commands, so that `--help` answers at once.
"""

import os
import sys
from pathlib import Path

import click

import circlemnist
from circlemnist.cli.evaluate import evaluate
from circlemnist.cli.messages import say
from circlemnist.cli.one_line_errors import OneLineErrors
from circlemnist.cli.options import (
    PrintablePath,
    run_options,
)
from circlemnist.cli.train import train
from circlemnist.plots.projection import METHODS
from circlemnist.runs.run import find_run, has_runs

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


main.add_command(train)
main.add_command(evaluate)


def has_display() -> bool:
    """Tell whether a window can open; only Linux and its like say so in the environment."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show_in(place: str, path: Path) -> None:
    """Open a file in the program for its kind, or say that there is no `place` for it."""
    if not (has_display() and click.launch(str(path)) == 0):
        say(f"there is no {place} it in: open {path} yourself")


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
