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


class CommandsInOrder(OneLineErrors):
    """The commands, listed in the order of work."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    "circlemnist", cls=CommandsInOrder, context_settings={"help_option_names": ["-h", "--help"]}
)
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
    listed = all_recipes()
    name = max((len(recipe.name) for recipe in listed), default=0)
    purpose = max((len(recipe.purpose) for recipe in listed), default=0)
    for recipe in listed:
        click.echo(f"{recipe.name:<{name}}  {recipe.purpose:<{purpose}}  {recipe.expected}")


for command in (train, evaluate, plot, explore, explain, sweep, compare, predict, export, recipes):
    main.add_command(command)
