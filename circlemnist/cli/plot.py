"""`circlemnist plot`."""

import os
import sys
from pathlib import Path

import click

from circlemnist.cli import options
from circlemnist.cli.messages import say, spelled
from circlemnist.family import FAMILY
from circlemnist.plots.kinds import FIG_2, KINDS, WIDTH
from circlemnist.process import loading
from circlemnist.runs.run import Run, has_runs

LINES = "\n".join(f"{name:<15}{spelled(kind.shows)}" for name, kind in KINDS.items())
HELP = f"""Plot a run: its embedding space, pairs, history and more.

RUN is the name or folder of a run, by default the newest. `gradients` needs none. The kinds are:

\b
{LINES}

\b
Examples:
  circlemnist plot
  circlemnist plot --kind circle --kind history --theme dark
  circlemnist plot --kind gradients --loss arcface --loss circle
  circlemnist plot --projection pca --out embedding.svg
"""


@click.command(help=HELP)
@options.run_options
@options.kind_option([*KINDS, "all"], "embedding")
@options.projection_option
@options.choice_option(
    "--loss",
    choices=FAMILY,
    multiple=True,
    help="loss for `gradients`, as of `circlemnist train`; repeatable  "
    f"[default: {', '.join(FIG_2)}, and that of the run]",
)
@options.theme_option
@options.width_option(WIDTH, "PNG or GIF")
@options.out_option(
    ".png, .svg or .pdf file, .gif of an animation  [default: in the run's plots/]",
    dir_okay=False,
)
@click.option("--show", is_flag=True, help="open the pictures in a window")
def plot(
    run_name: str | None,
    outputs: Path,
    data_dir: str | None,
    device: str,
    kinds: tuple[str, ...],
    projection: str,
    loss: tuple[str, ...],
    theme: str,
    width: int,
    out: Path | None,
    show: bool,
) -> None:
    if out is not None and (len(kinds) > 1 or "all" in kinds):
        raise click.UsageError("--out takes one picture: give one --kind")
    chosen = list(KINDS if "all" in kinds else dict.fromkeys(kinds))
    options.refuse_unused_flags()
    needs_run = run_name is not None or any(KINDS[kind].needs_run for kind in chosen)
    trained = None
    if needs_run or has_runs(outputs):
        trained = options.open_run(run_name, outputs, data_dir, device)
        if "all" in kinds:
            chosen = [kind for kind in chosen if can_be_drawn(kind, trained.run)]

    with loading():
        from circlemnist.plots.draw import draw_pictures
        from circlemnist.plots.style import THEMES, Style

    style = Style(THEMES[theme], projection, width, tuple(dict.fromkeys(loss)))
    for path in draw_pictures(trained, chosen, style, out):
        click.echo(f"picture: {path}")
        if show:
            show_in("window to show", path)


def can_be_drawn(name: str, run: Run) -> bool:
    """Whether a run has what a kind of picture needs."""
    kind = KINDS[name]
    if kind.needs_snapshots and not run.snapshots_file.exists():
        return False
    return not kind.needs_epochs or bool(run.history())


def show_in(place: str, path: Path) -> None:
    """Open a file in the program for its kind, or say that there is no `place` for it."""
    # only Linux and its like say in the environment whether a window can open
    screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}
    if not (screen and click.launch(str(path)) == 0):
        say(f"there is no {place} it in: open {path} yourself")
