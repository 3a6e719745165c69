"""What torchrun tells the processes that it starts, by their environment; needs no torch."""

import os
import time
from typing import NamedTuple

# for a launcher to end all processes when the first has; then the others speak for themselves
PATIENCE = 5.0
# for the first to say its last words, where it ends well
COURTESY = 1.0


class Place(NamedTuple):
    """Of a process among those that train together; by default it is alone."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    """Among those of its machine."""
    local_world: int = 1


def place() -> Place:
    """Return the place of this process; alone, where no launcher has told all of it."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    told = [os.environ.get(name, "") for name in names]
    if not all(word.isdecimal() for word in told):
        return Place()
    return Place(*map(int, told[:-1]))


def let_the_first_speak(seconds: float) -> None:
    """Wait in all processes but the first, which says for all of them what has gone wrong.

    Its end is that of the others, by their launcher; what comes after the wait was not said.
    """
    if place().rank > 0:
        time.sleep(seconds)
