"""The projection of a run's embeddings, computed once and kept in the run."""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.projection import LAYOUT, described, native_dimensions, project
from circlemnist.plots.style import Array
from circlemnist.runs.arrays import read_npz
from circlemnist.runs.files import atomic_write

# PCA is computed as fast as its points are read
KEPT = ("tsne", "umap")


def project_run(
    trained: EvaluatedRun, embeddings: Array, method: str, split: str = "test"
) -> tuple[Array, str]:
    """Return points (N, 2) for embeddings (N, D) of a run, and how, in words, as `project` does.

    Those of t-SNE and UMAP are kept as `projection-METHOD.npz`, with what they are of: other
    embeddings, as of a training that went on, another seed or another `LAYOUT` make others in
    their place. Where the run cannot be written, they are computed each time.

    Args:
        method: a key of `kinds.PROJECTIONS`.
        split: a key of `kinds.SPLITS`, the images that the embeddings are of.

    Raises:
        UserError: UMAP is not installed.
    """
    seed, native = trained.config.seed, native_dimensions(trained.config)
    count, dim = embeddings.shape
    if method not in KEPT or dim <= native:
        return project(embeddings, method, seed, native)
    path = trained.run.projection_file(method if split == "test" else f"{method}-{split}")
    of = _digest(embeddings, method, seed)
    points = _kept(path, of, count)
    if points is None:
        points, _ = project(embeddings, method, seed, native)
        with suppress(OSError), atomic_write(path) as temporary:
            np.savez(temporary, of=np.array(of), points=points)
    return points, described(method, dim)


def _digest(embeddings: Array, method: str, seed: int) -> str:
    """SHA-256 of everything that the points follow from, hexadecimal."""
    how = f"{method} {LAYOUT} {seed} {embeddings.dtype} {embeddings.shape}"
    digest = hashlib.sha256(how.encode())
    digest.update(np.ascontiguousarray(embeddings).data)
    return digest.hexdigest()


def _kept(path: Path, of: str, count: int) -> Array | None:
    """The points of a file; None where it is not there, damaged, or of something else."""
    try:
        found = read_npz(path, ["of", "points"])
    except ValueError:
        return None
    points = found["points"]
    sound = points.shape == (count, 2) and points.dtype.kind == "f" and np.isfinite(points).all()
    return points if sound and str(found["of"]) == of else None
