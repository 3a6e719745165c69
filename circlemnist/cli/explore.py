"""`circlemnist explore`."""

from pathlib import Path

import click

from circlemnist.cli.options import PrintablePath, projection_option, run_options, theme_option
from circlemnist.cli.plot import show_in
from circlemnist.process import loading
from circlemnist.runs.run import find_run


@click.command()
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

    with loading():
        from circlemnist.evaluation.evaluate import EvaluatedRun
        from circlemnist.explorer.page import write_page
        from circlemnist.plots.style import THEMES, Style

    trained = EvaluatedRun(run, data_dir, device)
    path = write_page(trained, Style(THEMES[theme], projection), out)
    click.echo(f"page: {path}")
    if open_it:
        show_in("browser to open", path)
