"""Embeddings of any size as points in the plane or in space; those of a run, computed once."""

import hashlib
import logging
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.metrics import COSINE, DISTANCE, nearest_others
from circlemnist.plots.kinds import PROJECTIONS
from circlemnist.plots.style import Array
from circlemnist.process import working
from circlemnist.runs.arrays import read_npz
from circlemnist.runs.files import atomic_write

NEIGHBORS = 30  # of UMAP
# Fewer than openTSNE's 30, 250 and 500: as many of the 10 nearest of validation images stay near.
PERPLEXITY, EXAGGERATED_ITERATIONS, ITERATIONS = 15, 75, 150
FRAME_ITERATIONS = 100
LARGE = 5_000  # points from which on a grid repels them faster than a tree does
UNIT = 1e-4  # by which the length of a unit row may differ from 1
LAYOUT = 3  # raised where the same embeddings and seed get other points than before
STORED = ("tsne", "umap")  # PCA is computed as fast as its points are read


def native_dimensions(config: Config) -> int:
    """Return up to how many dimensions embeddings are drawn as they are: a plane, or the sphere."""
    return 3 if config.loss_info.on_sphere else 2


def project(embeddings: Array, method: str, seed: int, native: int = 3) -> tuple[Array, str]:
    """Return points (N, 2) for embeddings (N, D), and how they were made, in words.

    Up to `native` dimensions are returned as they are, one with a second coordinate of 0.

    Args:
        method: "tsne" or "umap" (neighbourhoods kept, distances not), or "pca" (linear).
        seed: of t-SNE and UMAP; the same seed gives the same points.
    """
    frames, how = project_frames(embeddings[None], method, seed, native)
    return frames[0], how


def project_run(trained: EvaluatedRun, embeddings: Array, method: str) -> tuple[Array, str]:
    """Return points for embeddings of the test split of a run, and how, as `project` does.

    Those of t-SNE and UMAP are stored as `projection-METHOD.npz`, with a digest of their origin:
    other embeddings, as of a training that went on, another seed or another `LAYOUT` make others
    in their place. Where the run cannot be written, they are computed each time.
    """
    seed, native = trained.config.seed, native_dimensions(trained.config)
    dim = embeddings.shape[1]
    if method not in STORED or dim <= native:
        return project(embeddings, method, seed, native)
    path = trained.run.projection_file(method)
    origin = f"{method} {LAYOUT} {seed} {embeddings.dtype} {embeddings.shape}".encode()
    digest = hashlib.sha256(origin + np.ascontiguousarray(embeddings).tobytes()).hexdigest()
    with suppress(ValueError):  # not there, or damaged
        stored = read_npz(path, ["of", "points"])
        if str(stored["of"]) == digest:
            return stored["points"], _in_words(method, dim)
    points, how = project(embeddings, method, seed, native)
    with suppress(OSError), atomic_write(path) as temporary:
        np.savez(temporary, of=np.array(digest), points=points)
    return points, how


@working("projecting the embeddings")
def project_frames(
    embeddings: Array, method: str, seed: int, native: int = 3, last: Array | None = None
) -> tuple[Array, str]:
    """Return points (T, S, 2) for the same S images at T times (T, S, D), and how, in words.

    No point jumps: PCA takes the axes of the last time for all; t-SNE and UMAP start there, and
    t-SNE goes back in time, each layout beginning as the next one ended.

    Args:
        method, seed, native: as for `project`.
        last: (S, 2) layout of the last time for t-SNE and UMAP, where there is one already.

    Raises:
        UserError: UMAP is not installed.
    """
    dim = embeddings.shape[2]
    if dim <= native:
        return np.pad(embeddings, ((0, 0), (0, 0), (0, max(0, 2 - dim)))), f"{dim}-D"
    if method == "pca":
        centered = embeddings - embeddings[-1].mean(0)
        return centered @ _principal_axes(centered[-1]), _in_words(method, dim)
    if last is None:
        last = (_tsne if method == "tsne" else _umap)(embeddings[-1], seed)
    frames, middle = [last], last.mean(0)  # t-SNE's own is 0, and UMAP's is not
    for earlier in embeddings[-2::-1]:
        frames.append(_tsne(earlier, seed, start=frames[-1] - middle) + middle)
    return np.stack(frames[::-1]), _in_words(method, dim)


def _in_words(method: str, dim: int) -> str:
    return f"{PROJECTIONS[method]} of {dim}-D"


@working("t-SNE")
def _tsne(embeddings: Array, seed: int, start: Array | None = None) -> Array:
    from openTSNE import TSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    # it warns of any start that is not its own
    logging.getLogger("openTSNE").setLevel(logging.ERROR)
    count = len(embeddings)
    rows = torch.from_numpy(embeddings)
    # a chord of the sphere follows from the cosine, which is one product of matrices
    unit = bool(((rows.norm(dim=1) - 1).abs() < UNIT).all())
    k = min(3 * PERPLEXITY, count - 1)
    similarities, indices = nearest_others(rows, k, COSINE if unit else DISTANCE)
    distances = (2 - 2 * similarities).clamp(min=0).sqrt() if unit else -similarities
    affinities = PerplexityBasedNN(
        perplexity=min(PERPLEXITY, (count - 1) / 3),
        knn_index=PrecomputedNeighbors(indices.numpy(), distances.double().numpy()),
        n_jobs=-1,
    )
    options: dict[str, Any] = {
        "early_exaggeration_iter": EXAGGERATED_ITERATIONS,
        "n_iter": ITERATIONS,
    }
    if start is not None:
        options = {
            "early_exaggeration_iter": 0,
            "n_iter": FRAME_ITERATIONS,
            "initialization": start,
        }
    method = "bh" if count < LARGE else "fft"
    layout = TSNE(negative_gradient_method=method, random_state=seed, n_jobs=-1, **options)
    return np.asarray(layout.fit(embeddings, affinities))


@working("UMAP")
def _umap(embeddings: Array, seed: int) -> Array:
    try:
        from umap import UMAP
    except ImportError as error:
        raise UserError(
            "`projection` umap needs the package umap-learn: pip install 'circlemnist[umap]'"
        ) from error
    neighbors = min(NEIGHBORS, len(embeddings) - 1)
    layout = UMAP(n_neighbors=neighbors, random_state=seed, n_jobs=1)
    return np.asarray(layout.fit_transform(embeddings))


def _principal_axes(centered: Array) -> Array:
    """(D, 2), the largest entry of each positive."""
    axes: Array = np.linalg.eigh(centered.T @ centered).eigenvectors[:, :-3:-1]  # ascending
    return axes * np.sign(axes[np.abs(axes).argmax(0), [0, 1]])
