"""Every kind of picture of a run: what it shows, and of which numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from circlemnist.config import Config
from circlemnist.data.classes import CLASS_NAMES
from circlemnist.evaluation.metrics import (
    knn_accuracy,
    nearest_others,
    pair_similarities,
    roc_curve,
)
from circlemnist.evaluation.pair_plane import pair_density
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.models.embedder import embed
from circlemnist.plots.circle import circle_figure
from circlemnist.plots.confusion import confusion_figure
from circlemnist.plots.embedding import Mistakes, embedding_figure
from circlemnist.plots.gradients import gradients_figure
from circlemnist.plots.history import history_figure
from circlemnist.plots.neighbors import neighbors_figure
from circlemnist.plots.projection import project
from circlemnist.plots.similarities import similarities_figure
from circlemnist.plots.style import Theme

DISPLAY_NAMES = {
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "kmnist": "KMNIST",
    "digits": "scikit-learn digits",
}
WORST = 6  # mistakes whose image is shown beside their point
TRAIN_POINTS = 10_000  # of the training split in a scatter plot
PANELS, COARSE = 6, 80  # of the similarity plane over the epochs, and the bins of a sample
QUERIES, NEIGHBORS = 8, 7


@dataclass(frozen=True)
class Style:
    """How a picture is wanted.

    Attributes:
        theme: its colours.
        projection: "tsne", "umap" or "pca", for embeddings of more than three dimensions.
        split: "test", "train" or "both", for the scatter plot.
    """

    theme: Theme
    projection: str = "tsne"
    split: str = "test"


def embedding(trained: TrainedRun, style: Style) -> Figure:
    """The embedding space as a scatter plot, with the mistakes."""
    evaluation = trained.evaluation
    arrays, names = evaluation.arrays, CLASS_NAMES[evaluation.dataset]
    counted = evaluation.counted
    embeddings, labels = arrays.embeddings, arrays.labels
    if style.split != "test":
        train = trained.dataset.train
        chosen = torch.linspace(0, len(train) - 1, min(TRAIN_POINTS, len(train))).long()
        images = train.images[chosen].to(trained.embedder.mean.device)
        of_train = embed(trained.embedder, images, trained.config.views)
        counted_train = f"{len(chosen):,} of {len(train):,} training images"
        labels_train = train.labels[chosen].numpy()
        if style.split == "train":
            embeddings, labels, counted = of_train.cpu().numpy(), labels_train, counted_train
        else:
            embeddings = np.concatenate([embeddings, of_train.cpu().numpy()])
            counted = f"{counted} on {counted_train}"
    points, how = project(embeddings, style.projection, trained.config.seed)
    shown = None if style.split == "train" else _mistakes(trained)
    behind = None
    if style.split == "both":
        cut = len(labels)
        behind, points = (points[cut:], labels_train), points[:cut]
    return embedding_figure(
        points,
        labels,
        names,
        heading(trained, counted, f"{how}, "),
        style.theme,
        shown,
        behind,
    )


def _mistakes(trained: TrainedRun) -> Mistakes:
    """The images whose nearest neighbour is of another class, the most surely wrong first."""
    arrays = trained.evaluation.arrays
    wrong = np.flatnonzero(arrays.neighbor_labels[:, 0] != arrays.labels)
    right_votes = (arrays.neighbor_labels[wrong] == arrays.labels[wrong, None]).mean(1)
    wrong = wrong[np.lexsort((-arrays.neighbor_cosines[wrong, 0], right_votes))]
    images = trained.dataset.test.images[torch.from_numpy(wrong[:WORST])].numpy()
    return Mistakes(wrong, images)


def circle(trained: TrainedRun, style: Style) -> Figure:
    """The (s_n, s_p) plane with the decision circle; with snapshots, how the cloud moved."""
    density = pair_density(trained.test_embeddings, trained.test_labels)
    epochs = len(trained.history)
    clouds = [(f"after {epochs} epochs", density)]
    if trained.has_snapshots:
        clouds = [*_earlier_clouds(trained), clouds[0]]
    counted = f"pairs of {trained.evaluation.counted}"
    if trained.has_snapshots:
        counted += f", at first of {len(trained.snapshots.labels)}"
    return circle_figure(clouds, trained.config.m, heading(trained, counted), style.theme)


def _earlier_clouds(trained: TrainedRun) -> list[tuple[str, np.ndarray]]:
    seen = trained.snapshots
    times = np.linspace(0, len(seen.steps) - 1, PANELS).round().astype(int)[:-1]
    labels, captions = torch.from_numpy(seen.labels), snapshot_captions(trained)
    return [
        (caption, pair_density(torch.from_numpy(seen.embeddings[time]).float(), labels, COARSE))
        for time, caption in zip(times, [captions[time] for time in times], strict=True)
    ]


def snapshot_captions(trained: TrainedRun) -> list[str]:
    """The time of each snapshot, in words."""
    steps, last = trained.snapshots.steps, max(int(trained.snapshots.steps[-1]), 1)
    epochs = len(trained.history)
    return [
        "before training" if step == 0 else f"epoch {epochs * step / last:.2f}"
        for step in steps.tolist()
    ]


def history(trained: TrainedRun, style: Style) -> Figure:
    """How loss, similarities and the learning rate moved; and 1-NN, where there are snapshots."""
    rows = trained.history
    one_nn = None
    if trained.has_snapshots:
        seen = trained.snapshots
        labels = torch.from_numpy(seen.labels)
        shares = []
        for embeddings in seen.embeddings:
            of = torch.from_numpy(embeddings).float()
            found = nearest_others(of, 1)[1]
            shares.append(knn_accuracy(labels[found], labels, 1))
        one_nn = (len(rows) * seen.steps / max(seen.steps[-1], 1), np.array(shares))
    return history_figure(
        rows,
        one_nn,
        heading(trained, "training"),
        style.theme,
    )


def gradients(config: Config, style: Style) -> Figure:
    """The gradients of three losses; of a run, only gamma and m matter."""
    return gradients_figure(config.gamma, config.m, style.theme)


def similarities(trained: TrainedRun, style: Style) -> Figure:
    """Cosines within and between classes, and what a threshold on them accepts."""
    pairs = pair_similarities(trained.test_embeddings, trained.test_labels)
    counted = f"{len(pairs.sp) + len(pairs.sn):,} pairs of {trained.evaluation.measured} images"
    return similarities_figure(pairs, roc_curve(pairs), heading(trained, counted), style.theme)


def neighbors(trained: TrainedRun, style: Style) -> Figure:
    """The hardest queries with their nearest gallery images."""
    evaluation = trained.evaluation
    arrays, names = evaluation.arrays, CLASS_NAMES[evaluation.dataset]
    like = arrays.neighbor_labels == arrays.labels[:, None]
    hardest = np.lexsort((like.mean(1), like[:, :NEIGHBORS].sum(1), like[:, 0]))[:QUERIES]
    test, train = trained.dataset.test, trained.dataset.train
    of_gallery = arrays.neighbors[hardest, :NEIGHBORS]
    queries = f"the {len(hardest)} hardest {evaluation.measured} images"
    return neighbors_figure(
        test.images[torch.from_numpy(hardest)].numpy(),
        [names[label] for label in arrays.labels[hardest]],
        train.images[torch.from_numpy(of_gallery.astype(np.int64))].numpy(),
        [[names[label] for label in row] for row in arrays.neighbor_labels[hardest, :NEIGHBORS]],
        like[hardest, :NEIGHBORS],
        arrays.neighbor_cosines[hardest, :NEIGHBORS],
        heading(trained, f"{queries}, and the nearest training images"),
        style.theme,
    )


def confusion(trained: TrainedRun, style: Style) -> Figure:
    """The 1-NN confusion matrix."""
    evaluation = trained.evaluation
    arrays, names = evaluation.arrays, CLASS_NAMES[evaluation.dataset]
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (arrays.labels, arrays.neighbor_labels[:, 0]), 1)
    title = heading(trained, f"1-NN of {evaluation.counted}")
    return confusion_figure(counts, names, title, style.theme)


def heading(trained: TrainedRun, shown: str, how: str = "") -> str:
    """The two lines above a picture: the data set and what is shown of it; how, and the facts.

    The facts are the settings that matter, and how good the embedding is.
    """
    config, evaluation = trained.config, trained.evaluation
    share = f"{100 * evaluation.metrics['1nn']:.2f} %"
    return (
        f"{DISPLAY_NAMES[evaluation.dataset]}, {shown}\n"
        f"{how}gamma {config.gamma:g}, m {config.m:g}, {len(trained.history)} epochs, 1-NN {share}"
    )


OF_A_RUN: dict[str, Callable[[TrainedRun, Style], Figure]] = {
    "embedding": embedding,
    "circle": circle,
    "history": history,
    "similarities": similarities,
    "neighbors": neighbors,
    "confusion": confusion,
}
