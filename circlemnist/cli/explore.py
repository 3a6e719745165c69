"""`circlemnist explore`."""

from pathlib import Path

import click

from circlemnist.cli import options
from circlemnist.cli.plot import show_in
from circlemnist.plots.kinds import THEME_NAMES
from circlemnist.process import loading


@click.command()
@options.run_options
@options.projection_option
@options.choice_option(
    "--theme",
    choices=THEME_NAMES,
    help="colours  [default: those that the system of the reader asks for]",
)
@options.out_option(".html file  [default: plots/explorer.html in the run]", dir_okay=False)
@click.option("--open", "open_it", is_flag=True, help="open the page in the browser")
def explore(
    run_name: str | None,
    outputs: Path,
    data_dir: str | None,
    device: str,
    projection: str,
    theme: str | None,
    out: Path | None,
    open_it: bool,
) -> None:
    """Write an interactive page of a run, with a pad to draw on.

    RUN is the name or folder of a run, by default the newest. The page works offline. If the run
    was trained with --snapshots, the page also plays how the embedding space formed.

    \b
    Examples:
      circlemnist explore --open
      circlemnist explore --theme dark --out space.html
    """
    trained = options.open_run(run_name, outputs, data_dir, device)

    with loading():
        from circlemnist.explorer.page import write_page
        from circlemnist.plots.style import THEMES

    path = write_page(trained, projection, THEMES[theme] if theme else None, out)
    click.echo(f"page: {path}")
    if open_it:
        show_in("browser to open", path)
