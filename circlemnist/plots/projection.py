"""Embeddings of any size as points in the plane or in space."""

import numpy as np

METHODS = ("tsne", "pca")


def project(embeddings: np.ndarray, method: str, seed: int) -> tuple[np.ndarray, str]:
    """Return points (N, 2) for embeddings (N, D), and how they were made, in words.

    D = 2 and D = 3 are returned as they are, D = 1 with a second coordinate of 0.

    Args:
        embeddings: (N, D) float, unit rows.
        method: "tsne" (neighbourhoods kept, distances not) or "pca" (linear).
        seed: of t-SNE.
    """
    dim = embeddings.shape[1]
    if dim <= 3:
        return np.pad(embeddings, ((0, 0), (0, max(0, 2 - dim)))), f"{dim}-D"
    if method == "pca":
        from sklearn.decomposition import PCA

        return PCA(2, svd_solver="full").fit_transform(embeddings), f"PCA of {dim}-D"
    from sklearn.manifold import TSNE

    tsne = TSNE(2, perplexity=min(30, (len(embeddings) - 1) / 3), random_state=seed, n_jobs=-1)
    return tsne.fit_transform(embeddings), f"t-SNE of {dim}-D"
