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
from circlemnist.cli.messages import OneLineErrors
from circlemnist.cli.plot import plot
from circlemnist.cli.predict import predict
from circlemnist.cli.sweep import sweep
from circlemnist.cli.train import train
from circlemnist.process import torchrun_ranks
from circlemnist.recipes import recipes as all_recipes


@click.group(
    "circlemnist", cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(circlemnist.__version__, prog_name="circlemnist")
@click.pass_context
def main(ctx: click.Context) -> None:
    """See deep metric learning work: Circle Loss on MNIST, trained, measured and drawn.

    \b
    circlemnist train --gamma 80 --m 0.25     learn an embedding
    circlemnist eval                          evaluate the newest run
    circlemnist plot                          look at it
    circlemnist sweep --vary m=0,0.25,0.4     tune hyperparameters
    circlemnist predict my_digit.png          use it
    """
    job = ctx.invoked_subcommand
    if torchrun_ranks().world_size > 1 and job != train.name:
        raise click.UsageError(f"{job} is the work of one process: start it without torchrun")


@click.command()
def recipes() -> None:
    """List the recipes: name, what it is for, and what to expect.

    \b
    Examples:
      circlemnist recipes
      circlemnist train --config plane
      circlemnist train --config plane --dry-run > mine.toml
    """
    listed = all_recipes()
    name = max((len(recipe.name) for recipe in listed), default=0)
    purpose = max((len(recipe.purpose) for recipe in listed), default=0)
    for recipe in listed:
        click.echo(f"{recipe.name:<{name}}  {recipe.purpose:<{purpose}}  {recipe.expected}")


for command in (train, evaluate, plot, explore, explain, sweep, compare, predict, export, recipes):
    main.add_command(command)
