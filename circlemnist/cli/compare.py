"""`circlemnist compare`."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import click

from circlemnist.cli import options
from circlemnist.cli.messages import say, spelled
from circlemnist.cli.tables import comparison_text
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.plots.kinds import COMPARED, SIDE_BY_SIDE
from circlemnist.process import loading
from circlemnist.runs.run import LONGEST

NAMED = 3  # runs and sweeps that a folder of pictures is named after
LINES = "\n".join(f"{name:<15}{spelled(kind.shows)}" for name, kind in COMPARED.items())
HELP = f"""Compare runs: settings, metrics, significance, pictures.

RUN and SWEEP are names or folders; of a sweep, all finished trainings are taken. Runs that differ
by their seed alone are a row of mean ± standard deviation. Each row is tested against the first:
several seeds by a paired t-test of the metric, two trainings by McNemar's exact test of their 1-NN.
Each difference has a 95 % interval; p is corrected for the number of tests by Holm's method.

\b
{LINES}

\b
Examples:
  circlemnist compare mine yours
  circlemnist compare losses --kind embedding --theme dark
  circlemnist compare losses --metric map@r
  circlemnist compare losses mine --kind none --json
"""


@click.command(help=HELP)
@click.argument(
    "names", metavar="RUN|SWEEP...", nargs=-1, required=True, shell_complete=options.runs
)
@options.choice_option(
    "--metric", choices=METRICS, default="1nn", help="tested over several seeds: any of the tables"
)
@options.place_options
@options.kind_option([*COMPARED, "all", "none"], "all")
@options.projection_option
@options.theme_option
@options.width_option(SIDE_BY_SIDE, "picture")
@options.out_option(
    "folder of the pictures  [default: one in comparisons/, next to the runs]",
    file_okay=False,
)
@click.option("--json", "for_machines", is_flag=True, help="print JSON instead of tables")
def compare(
    names: tuple[str, ...],
    metric: str,
    outputs: Path,
    data_dir: str | None,
    device: str,
    kinds: tuple[str, ...],
    projection: str,
    theme: str,
    width: int,
    out: Path | None,
    for_machines: bool,
) -> None:
    if "none" in kinds and len(set(kinds)) > 1:
        raise click.UsageError("--kind none goes with no other kind")
    options.refuse_unused_flags()
    chosen = [] if "none" in kinds else list(COMPARED if "all" in kinds else dict.fromkeys(kinds))

    with loading():
        from circlemnist.evaluation.compare import compare_runs
        from circlemnist.plots.draw import draw_group_pictures
        from circlemnist.plots.style import THEMES, Style

    comparison = compare_runs(outputs, names, metric, data_dir, device, say)
    if not for_machines:
        click.echo(comparison_text(comparison))
    style = Style(THEMES[theme], projection, width=width)
    folder = out or outputs / "comparisons" / folder_name(names)
    pictures = []
    for path in draw_group_pictures(comparison.groups, chosen, style, folder):
        pictures.append(str(path))
        if not for_machines:
            click.echo(f"picture: {path}")
    if for_machines:
        click.echo(json.dumps({**comparison.as_dict(), "pictures": pictures}, indent=2))


def folder_name(names: Sequence[str]) -> str:
    """Return the names of what is compared, or of the first where these are too much."""
    stems = [Path(name).resolve().name for name in names]
    joined = "_".join(stems)
    if len(stems) <= NAMED and len(os.fsencode(joined)) <= LONGEST:
        return joined
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return f"{stems[0][:50]}_and_{len(stems) - 1}_more_{digest[:8]}"
