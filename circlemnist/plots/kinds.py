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
WIDTH = 1200  # pixels
FIG_2 = ("triplet", "cosface", "circle")  # the losses of the paper's figure
STILL, MOVING = (".png", ".svg", ".pdf"), (".gif",)
VECTOR = (".svg", ".pdf")  # of no width in pixels; written only where a file is asked for
PREDICTED = 20  # pictures at most, of those that were predicted, in one


@dataclass(frozen=True)
class Kind:
    """A kind of picture."""

    shows: str  # in a line
    uses: tuple[str, ...] = ()  # which of "projection" and "loss" change it
    formats: tuple[str, ...] = STILL  # suffixes of its files
    needs_run: bool = True  # there is nothing to draw without one
    needs_snapshots: bool = False  # the run was trained with `snapshots`
    needs_epochs: bool = False  # the run has ended an epoch


KINDS = {
    "embedding": Kind("the embedding space, with the mistakes", uses=("projection",)),
    "circle": Kind("all pairs in the pair plane (s_n, s_p), with the boundary"),
    "history": Kind("loss, similarities and learning rate over the epochs", needs_epochs=True),
    "gradients": Kind("how hard losses pull at s_n and s_p", uses=("loss",), needs_run=False),
    "similarities": Kind("similarities of pairs of images, and the ROC curve"),
    "neighbors": Kind("the hardest images and their nearest ones"),
    "confusion": Kind("the 1-NN confusion matrix"),
    "animation": Kind(
        "the space as it forms, of a run with `snapshots`",
        uses=("projection",),
        formats=MOVING,
        needs_snapshots=True,
    ),
}
COMPARED = {
    "embedding": Kind("the embedding spaces, of the same images", uses=("projection",)),
    "circle": Kind("pairs in the pair plane (s_n, s_p), with the boundaries"),
    "history": Kind("similarities and loss over the epochs"),
}
MODULES = {kind: kind for kind in KINDS} | {"circle": "pair_plane"}
SIDE_BY_SIDE = 1600  # pixels


def check_suffix(path: Path, suffixes: Sequence[str], job: str) -> None:
    """Raise UserError where the name of a file has none of the suffixes: `job` cannot be done."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"cannot {job} into {path}: the name must end in {', '.join(suffixes)}")
