"""What a step of training makes smaller."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circlemnist.config import CLASSES, Config
from circlemnist.data.datasets import Split
from circlemnist.data.extra_classes import refuse_other, trained_classes, what_is_learned
from circlemnist.errors import SettingError
from circlemnist.losses import CircleLoss, build_loss, fix_class_weights, gathered_loss
from circlemnist.losses.class_weights import arrange_directions, spread_directions

# of the loss that shapes a first embedding: not the defaults, which may change without it
SHAPING_GAMMA, SHAPING_M = 80.0, 0.25
MOST_FIXED = 100  # classes, whose directions take a minute to place


class Objective(nn.Module):
    """The loss of the embedding and, where it is folded, that of the first embedding added to it.

    Its state has the name of the loss and its classes, often all that tells it from another's.

    Args:
        name: of the loss, a key of `LOSSES`.
        loss: takes embeddings (B, D) and labels (B,), gives (). The labels are places in `classes`.
        shaping: the same for the first embedding (B, F); None where there is none.
        classes: the labels there are, ascending.
    """

    places: Tensor

    def __init__(
        self,
        name: str,
        loss: nn.Module,
        shaping: nn.Module | None = None,
        classes: Sequence[int] = range(CLASSES),
    ) -> None:
        super().__init__()
        self.name, self.loss, self.shaping, self.classes = name, loss, shaping, classes
        places = torch.full((max(classes) + 1,), -1)
        places[list(classes)] = torch.arange(len(classes))
        self.register_buffer("places", places, persistent=False)

    def forward(self, stages: list[Tensor], labels: Tensor) -> Tensor:
        """Return () for the stages of an embedder and labels (B,) int64, of all processes."""
        labels = self.places[labels]
        value = gathered_loss(self.loss, stages[-1], labels)
        if self.shaping is not None:
            value = value + gathered_loss(self.shaping, stages[0], labels)
        return value

    def get_extra_state(self) -> str:
        """The name of the loss and the classes, where they are not the ten of a data set."""
        return what_is_learned(self.name, self.classes)

    def set_extra_state(self, state: str) -> None:
        """Raise ValueError for the state of another loss, or of other classes."""
        refuse_other(state, self.get_extra_state())


def build_objective(config: Config, split: Split) -> Objective:
    """Build the objective that `config` names, for the embeddings that `build_embedder` gives.

    Args:
        split: the training images; fixed class weights are placed by their likeness.

    Raises:
        SettingError: class weights would be fixed for more than `MOST_FIXED` classes.
    """
    shaping = CircleLoss(SHAPING_GAMMA, SHAPING_M, normalize=False) if config.fold else None
    classes = trained_classes(config)
    fixed = config.class_weights == "fixed" and config.member.of_classes
    if fixed and len(classes) > MOST_FIXED:
        raise SettingError(
            "class_weights", f"must be learned with {len(classes):,} classes, not fixed"
        )
    loss = build_loss(
        config.loss,
        num_classes=len(classes),
        embedding_dim=config.dim,
        pairs=config.pairs,
        normalize=config.member.of_classes,  # embeddings have unit length, class weights have not
        **config.knobs,
    )
    if fixed:
        # like classes beside each other: what lies between two of them then passes no third
        spread = spread_directions(len(classes), config.dim)
        fix_class_weights(loss, arrange_directions(spread, class_likeness(split, classes)))
    return Objective(config.loss, loss, shaping, classes)


def class_likeness(split: Split, classes: Sequence[int] = range(CLASSES)) -> Tensor:
    """Return the cosines (C, C) between the mean images of C classes, less the mean of all."""
    pixels = split.images.flatten(1).float().cpu()
    of_class = [pixels[(split.labels == label).cpu()].mean(0) for label in classes]
    means = torch.stack(of_class).nan_to_num()  # a class may be missing
    unit = F.normalize(means - means.mean(0))
    return unit @ unit.T
