"""The kinds of pictures and their options, for the command line: imports nothing heavy.

`MODULES` names the module that draws a kind: `draw(trained, style)` of a run, and
`draw_groups(groups, style)` of several, side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from circlemnist.errors import UserError

PROJECTIONS = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}
THEME_NAMES = ("light", "dark")
SPLITS = ("test", "train", "both")
WIDTH = 1200  # pixels
FIG_2 = ("triplet", "cosface", "circle")  # the losses of the paper's figure
STILL, MOVING = (".png", ".svg", ".pdf"), (".gif", ".mp4")
VECTOR = (".svg", ".pdf")  # of no width in pixels
PREDICTED = 20  # pictures at most, of those that were predicted, in one


@dataclass(frozen=True)
class Kind:
    """A kind of picture.

    Attributes:
        shows: what it shows, in a line.
        uses: which of the options "projection", "split" and "loss" change it.
        formats: suffixes of the files that hold it; those that are not in `VECTOR` are written
            where no file is asked for.
        needs_run: whether there is nothing to draw without a run.
        needs_snapshots: whether the run must have been trained with `snapshots`.
        needs_epochs: whether it must have ended an epoch.
    """

    shows: str
    uses: tuple[str, ...] = ()
    formats: tuple[str, ...] = STILL
    needs_run: bool = True
    needs_snapshots: bool = False
    needs_epochs: bool = False


KINDS = {
    "embedding": Kind("the embedding space, with the mistakes", uses=("projection", "split")),
    "circle": Kind("all pairs in the (s_n, s_p) plane, and the loss's decision boundary"),
    "history": Kind("loss, similarities and learning rate over the epochs", needs_epochs=True),
    "gradients": Kind("what losses pull at", uses=("loss",), needs_run=False),
    "similarities": Kind("how alike pairs within and between classes are, and the ROC curve"),
    "neighbors": Kind("the hardest images and their nearest ones"),
    "confusion": Kind("the 1-NN confusion matrix"),
    "animation": Kind(
        "the space as it forms, of a run with `snapshots`",
        uses=("projection",),
        formats=MOVING,
        needs_snapshots=True,
    ),
}

SIDE_BY_SIDE = 1600  # pixels
COMPARED = {
    "embedding": Kind("the embedding spaces, of the same images", uses=("projection",)),
    "circle": Kind("pairs in the (s_n, s_p) plane, with each loss's decision boundary"),
    "history": Kind("similarities and loss over the epochs"),
}

# what draws each kind, a module of this folder
MODULES = {kind: kind for kind in KINDS} | {"circle": "pair_plane"}


def check_suffix(path: Path, suffixes: Sequence[str], job: str) -> None:
    """Raise UserError where the name of a file has none of the suffixes: `job` cannot be done."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"cannot {job} into {path}: the name must end in {', '.join(suffixes)}")
