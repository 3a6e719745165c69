"""`circlemnist recipes`."""

import click

from circlemnist.recipes import recipes as known


@click.command()
def recipes() -> None:
    """List the recipes: name, what it is for, and what to expect.

    \b
    Examples:
      circlemnist recipes
      circlemnist train --config plane
      circlemnist train --config plane --dry-run > mine.toml
    """
    found = known()
    name = max((len(each.name) for each in found), default=0)
    purpose = max((len(each.purpose) for each in found), default=0)
    for each in found:
        click.echo(f"{each.name:<{name}}  {each.purpose:<{purpose}}  {each.expected}")
