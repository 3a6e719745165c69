"""`circlemnist eval`."""

from pathlib import Path

import click

from circlemnist.cli import options
from circlemnist.cli.tables import report_table


@click.command("eval")
@options.run_options
@click.option("--json", "for_machines", is_flag=True, help="print JSON instead of a table")
def evaluate(
    run_name: str | None, outputs: Path, data_dir: str | None, device: str, for_machines: bool
) -> None:
    """Evaluate a run on the test set.

    RUN is the name or folder of a run, by default the newest. 1-NN, 20-NN and centroids use the
    training images as the gallery. Retrieval and verification compare test images with one another.

    \b
    Examples:
      circlemnist eval
      circlemnist eval 2026-11-23_12-15-02_circle_gamma80_m0.25 --json
    """
    report = options.open_run(run_name, outputs, data_dir, device).evaluate()
    click.echo(report.to_json() if for_machines else report_table(report))
