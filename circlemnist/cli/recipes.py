"""`circlemnist recipes`."""

import click

from circlemnist.recipes import recipes as all_recipes


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
