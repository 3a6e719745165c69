"""`circlemnist explain`."""

from pathlib import Path

import click

from circlemnist.cli import options
from circlemnist.cli.plot import show_in
from circlemnist.explain import LANGUAGES
from circlemnist.process import loading


@click.command()
@options.run_options
@options.out_option(".html file to write", default=Path("circle-loss.html"), dir_okay=False)
@options.choice_option(
    "--language", choices=LANGUAGES, default="en", help="language of the page: English or Japanese"
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
    trained = None if run_name is None else options.open_run(run_name, outputs, data_dir, device)

    with loading():
        from circlemnist.explain.page import write_explainer

    write_explainer(out, language, trained)
    click.echo(f"page: {out}")
    if open_it:
        show_in("browser to open", out)
