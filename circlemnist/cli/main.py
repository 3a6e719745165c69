"""The commands, each in a file of its own but `recipes`: parse, call one function, print.

    circlemnist train --gamma 80 --m 0.25
    circlemnist eval
    circlemnist plot

Torch and matplotlib are imported inside the commands, so that `--help` answers at once.
"""

import click

import circlemnist
from circlemnist.cli.compare import compare
from circlemnist.cli.evaluate import evaluate
from circlemnist.cli.explain import explain
from circlemnist.cli.explore import explore
from circlemnist.cli.export import export
from circlemnist.cli.messages import Commands
from circlemnist.cli.plot import plot
from circlemnist.cli.predict import predict
from circlemnist.cli.sweep import sweep
from circlemnist.cli.tables import table
from circlemnist.cli.train import train
from circlemnist.process import torchrun_ranks
from circlemnist.recipes import recipes as all_recipes


@click.group("circlemnist", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(circlemnist.__version__, prog_name="circlemnist")
@click.pass_context
def main(ctx: click.Context) -> None:
    """A laboratory for deep metric learning: Circle Loss and nine others on MNIST.

    \b
    circlemnist explain --open                new here? play with the loss
    circlemnist train --gamma 80 --m 0.25     learn an embedding
    circlemnist plot                          plot the newest run
    """
    job = ctx.invoked_subcommand
    if torchrun_ranks().world_size > 1 and job != train.name:
        raise click.UsageError(f"{job} is the work of one process: start it without torchrun")


@click.command()
def recipes() -> None:
    """List the recipes, with purpose, accuracy and time.

    \b
    Examples:
      circlemnist recipes
      circlemnist train --config plane
      circlemnist train --config plane --dry-run > mine.toml
    """
    rows = [(recipe.name, recipe.purpose, recipe.expected) for recipe in all_recipes()]
    if rows:
        click.echo(table([*zip(*rows, strict=True)]))


for command in (train, evaluate, plot, explore, explain, sweep, compare, predict, export, recipes):
    main.add_command(command)
