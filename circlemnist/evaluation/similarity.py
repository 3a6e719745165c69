"""How alike two embeddings are: by cosine on the sphere, elsewhere by the Euclidean distance."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from circlemnist.config import Config


@dataclass(frozen=True)
class Similarity:
    """A measure that is higher the more alike two embeddings are.

    Attributes:
        name: in words.
        between: embeddings (A, D) and (B, D), float of one dtype, to (A, B).
        sign: what it is times to be what its name says: a distance is less the more alike.
        range: the least and the most that it can be.
    """

    name: str
    between: Callable[[Tensor, Tensor], Tensor]
    sign: int
    range: tuple[float, float]


def _minus_distance(a: Tensor, b: Tensor) -> Tensor:
    # in float32 what it subtracts would leave four digits of a small distance
    return -torch.cdist(a.double(), b.double()).to(a.dtype)


COSINE = Similarity("cosine", lambda a, b: a @ b.T, 1, (-1.0, 1.0))
DISTANCE = Similarity("distance", _minus_distance, -1, (-math.inf, 0.0))
SIMILARITIES = {each.name: each for each in (COSINE, DISTANCE)}


def similarity_of(config: Config) -> Similarity:
    """Return the measure that fits the embeddings of a run."""
    return COSINE if config.member.on_sphere else DISTANCE
