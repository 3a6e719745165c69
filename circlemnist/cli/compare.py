"""`circlemnist compare`."""

import json
from pathlib import Path

import click

from circlemnist.cli.comparison import as_text
from circlemnist.cli.messages import say
from circlemnist.cli.options import place_options


@click.command()
@click.argument("names", metavar="RUN|SWEEP...", nargs=-1, required=True)
@place_options
@click.option("--json", "for_machines", is_flag=True, help="print JSON instead of tables")
def compare(
    names: tuple[str, ...], outputs: Path, data_dir: str | None, device: str, for_machines: bool
) -> None:
    """Set runs side by side: settings, measures, pictures, and whether two differ.

    RUN and SWEEP are names or folders; of a sweep, all its trainings are taken. Runs that differ by
    their seed alone make one row, of mean ± standard deviation. Two rows are tested by McNemar's
    exact test on the images that each gets right.

    \b
    Examples:
      circlemnist compare mine yours
      circlemnist compare losses --json
    """
    from circlemnist.experiments.compare import side_by_side

    found = side_by_side(outputs, names, data_dir, device, say)
    click.echo(json.dumps(found.as_dict(), indent=2) if for_machines else as_text(found))
