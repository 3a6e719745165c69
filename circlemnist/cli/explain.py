"""`circlemnist explain`."""

from pathlib import Path

import click

from circlemnist.cli.options import NearestChoice, PrintablePath, place_options, runs
from circlemnist.cli.plot import show_in
from circlemnist.explain import LANGUAGES
from circlemnist.process import loading
from circlemnist.runs.run import find_run


@click.command()
@click.argument("run_name", metavar="[RUN]", required=False, shell_complete=runs)
@place_options
@click.option(
    "--out",
    type=PrintablePath(dir_okay=False),
    default=Path("circle-loss.html"),
    show_default=True,
    help=".html file to write",
)
@click.option(
    "--language",
    type=NearestChoice(LANGUAGES),
    default="en",
    show_default=True,
    help="language of the page: English or Japanese",
)
@click.option("--open", "open_it", is_flag=True, help="open the page in the browser")
def explain(
    run_name: str | None,
    outputs: Path,
    data_dir: str | None,
    device: str,
    out: Path,
    language: str,
    open_it: bool,
) -> None:
    """Write an interactive page that explains Circle Loss.

    The page works offline and needs no run. With RUN, the name or folder of a run, it also shows
    the pairs of that run; over the whole training if it was trained with --snapshots.

    \b
    Examples:
      circlemnist explain --open
      circlemnist explain --language ja --out circle-loss.ja.html
    """
    run = None if run_name is None else find_run(outputs, run_name)

    with loading():
        from circlemnist.evaluation.evaluate import EvaluatedRun
        from circlemnist.explain.page import write_explainer

    trained = None if run is None else EvaluatedRun(run, data_dir, device)
    write_explainer(out, language, trained)
    click.echo(f"page: {out}")
    if open_it:
        show_in("browser to open", out)
