"""Metrics of an embedding: vectors and labels in, floats out.

The similarity of two vectors is the cosine of unit rows, or the negative Euclidean distance. Its
matrices are computed in blocks of rows, so that the extra memory stays well under 1 GiB for 10,000
queries and 60,000 gallery images.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circlemnist.config import Config
from circlemnist.data.datasets import SHOTS

# 64 MiB of float32: glibc gives freed blocks of more than 32 MiB back to the system at once.
# Smaller ones may stay, with small results between them, until an evaluation holds 2 GiB
BLOCK_ELEMENTS = 2**24
RECALL_AT = (1, 2, 4, 8)
FALSE_ACCEPT_RATES = (1e-2, 1e-3, 1e-4)
ARTICLE_THRESHOLD = np.float32(0.75)
ROC_POINTS = 300
DRAWS = 20  # indices of few-shot accuracy
KNOWN_ACCEPTED = 0.95  # of seen classes, at the threshold of rejection
MOST_PAIRED = 10_000

Similarities = NDArray[np.float32]


@dataclass(frozen=True)
class Similarity:
    """A number that is higher for embeddings that are more similar."""

    name: str
    between: Callable[[Tensor, Tensor], Tensor]  # (A, D) and (B, D), of one dtype, to (A, B)
    sign: int  # times a similarity it is what the name says: -1 of a distance
    range: tuple[float, float]  # the least and the most that it can be


def _minus_distance(a: Tensor, b: Tensor) -> Tensor:
    # in float32 a difference of squares would leave four digits of a small distance
    return -torch.cdist(a.double(), b.double()).to(a.dtype)


COSINE = Similarity("cosine", lambda a, b: a @ b.T, 1, (-1.0, 1.0))
DISTANCE = Similarity("distance", _minus_distance, -1, (-math.inf, 0.0))
SIMILARITIES = {COSINE.name: COSINE, DISTANCE.name: DISTANCE}


def similarity_of(config: Config) -> Similarity:
    """Return the similarity for the embeddings of a run."""
    return COSINE if config.loss_info.on_sphere else DISTANCE


class PairSimilarities(NamedTuple):
    """Similarities of all pairs i < j, ascending float32 arrays."""

    sp: Similarities  # of same-class pairs
    sn: Similarities  # of different-class pairs


@dataclass(frozen=True)
class RocCurve:
    """The pairs that each threshold of similarity accepts; rates are 0-1."""

    false_accepts: NDArray[np.float64]  # (R,) of the different-class pairs, ascending to 1 by log
    true_accepts: NDArray[np.float64]  # (R,) of the same-class pairs, the highest for these
    area: float  # under the curve; a tie between the two kinds of pairs counts as half
    equal_error: float  # where both errors of the piecewise linear curve are equal
    threshold: float  # of similarity, the last one before that


def nearest(
    queries: Tensor, gallery: Tensor, k: int, similarity: Similarity = COSINE
) -> tuple[Tensor, Tensor]:
    """Return similarities (Q, k) and indices (Q, k) of the `k` nearest in a gallery (G, D)."""
    parts = blocks(queries, len(gallery))
    best = [similarity.between(block, gallery).topk(k) for _, block in parts]
    return torch.cat([part.values for part in best]), torch.cat([part.indices for part in best])


def nearest_others(
    embeddings: Tensor, k: int, similarity: Similarity = COSINE
) -> tuple[Tensor, Tensor]:
    """Return the same of the `k` nearest others of each vector (N, D); k is 1 to N − 1."""
    best = [s.topk(k) for _, s in _to_others(embeddings, similarity)]
    return torch.cat([part.values for part in best]), torch.cat([part.indices for part in best])


def knn_accuracy(neighbors: Tensor, labels: Tensor, k: int) -> float:
    """Return the share of queries whose label wins the vote of the first `k` neighbours.

    `neighbors` (Q, ≥ k) are labels, nearest first. A tie goes to the smallest label, as in
    scikit-learn's `KNeighborsClassifier`.
    """
    first = neighbors[:, :k]
    votes = first.new_zeros(len(first), int(first.max()) + 1)  # (Q, C)
    votes.scatter_add_(1, first, torch.ones_like(first))
    return _mean(votes.argmax(1) == labels)


def centroid_accuracy(queries: Tensor, labels: Tensor, gallery: Tensor, classes: Tensor) -> float:
    """Return the share of queries whose nearest class mean of the gallery has their label.

    The distance is Euclidean, to the mean as it is, inside the sphere.
    """
    names = classes.unique()
    means = torch.stack([gallery[classes == name].double().mean(0) for name in names])  # (C, D)
    return _mean(names[torch.cdist(queries.double(), means).argmin(1)] == labels)


def retrieval(
    embeddings: Tensor, labels: Tensor, similarity: Similarity = COSINE
) -> dict[str, float]:
    """Return retrieval within one set (N, D), N ≥ 2: each vector is a query to all the others.

    recall@k is the share of queries with a vector of their class among the first k. With R the
    number of other vectors of the query's class, R-precision is the share of its class among the
    first R, and MAP@R the mean over ranks i ≤ R of (precision at i where the i-th is of its class,
    else 0); both from Musgrave et al., "A Metric Learning Reality Check", ECCV 2020. Queries alone
    in their class are left out of these two.
    """
    others = torch.bincount(labels)[labels] - 1  # (N,)
    depth = min(max(int(others.max()), *RECALL_AT), len(labels) - 1)
    hits, r_precision, map_at_r = [], [], []
    ranks = torch.arange(1, depth + 1, device=embeddings.device)
    for rows, s in _to_others(embeddings, similarity):
        same = labels[s.topk(depth).indices] == labels[rows, None]  # (block, depth)
        hits.append(torch.stack([same[:, :k].any(1) for k in RECALL_AT], 1))
        r = others[rows, None]
        same &= ranks <= r
        precision = same.cumsum(1) / ranks
        r_precision.append(same.sum(1) / r[:, 0])
        map_at_r.append((precision * same).sum(1) / r[:, 0])
    recall = torch.cat(hits).double().mean(0)
    accompanied = others > 0
    return {
        **{f"recall@{k}": float(recall[i]) for i, k in enumerate(RECALL_AT)},
        "r-precision": _mean(torch.cat(r_precision)[accompanied]),
        "map@r": _mean(torch.cat(map_at_r)[accompanied]),
    }


def pair_similarities(
    embeddings: Tensor, labels: Tensor, similarity: Similarity = COSINE
) -> PairSimilarities:
    """Return the similarities of all N(N − 1)/2 pairs of embeddings (N, D), sorted.

    Of more than `MOST_PAIRED` embeddings the first ones have pairs: these are 200 MB.
    """
    embeddings, labels = embeddings[:MOST_PAIRED], labels[:MOST_PAIRED]
    counts = torch.bincount(labels).tolist()
    positives = sum(count * (count - 1) // 2 for count in counts)
    pairs = len(labels) * (len(labels) - 1) // 2
    sp, sn = np.empty(positives, np.float32), np.empty(pairs - positives, np.float32)
    p = n = 0
    # class after class: the columns of a row are the rest of its class, then all later classes
    embeddings = embeddings[labels.argsort()]
    end = 0
    for count in counts:
        start, end = end, end + count
        for offset, block in blocks(embeddings[start:end], len(embeddings) - start):
            first = start + offset
            s = similarity.between(block, embeddings[first:]).float().cpu().numpy()
            same, other = s[:, : end - first], s[:, end - first :]
            block_sp = same[np.triu(np.ones(same.shape, bool), 1)]
            sp[p : p + len(block_sp)] = block_sp
            sn[n : n + other.size].reshape(other.shape)[:] = other
            p, n = p + len(block_sp), n + other.size
    sp.sort()
    sn.sort()
    return PairSimilarities(sp, sn)


def verification(pairs: PairSimilarities) -> dict[str, float]:
    """Return metrics of "same class?" by the similarity of a pair; there are pairs of both kinds.

    A threshold t accepts the pairs with s ≥ t. `roc_auc` and `eer` are those of `roc_curve`;
    `tar@far=x` is the largest true-accept rate at a false-accept rate ≤ x; precision and recall
    are those of s > 0.75.
    """
    sp, sn = pairs
    curve = roc_curve(pairs)
    accepted_p = len(sp) - int(np.searchsorted(sp, ARTICLE_THRESHOLD, "right"))
    accepted_n = len(sn) - int(np.searchsorted(sn, ARTICLE_THRESHOLD, "right"))
    return {
        "roc_auc": curve.area,
        "eer": curve.equal_error,
        **{f"tar@far={rate:.0e}": _true_accept_rate(sp, sn, rate) for rate in FALSE_ACCEPT_RATES},
        "precision@0.75": accepted_p / max(accepted_p + accepted_n, 1),
        "recall@0.75": accepted_p / len(sp),
        "mean_sp": float(sp.mean(dtype=np.float64)),
        "mean_sn": float(sn.mean(dtype=np.float64)),
    }


def roc_curve(pairs: PairSimilarities) -> RocCurve:
    """Return the ROC curve of some pairs of both kinds, at `ROC_POINTS` false-accept rates."""
    sp, sn = pairs
    false_accepts = np.geomspace(1 / len(sn), 1, ROC_POINTS)
    true_accepts = np.array([_true_accept_rate(sp, sn, rate) for rate in false_accepts])
    below = np.searchsorted(sn, sp, "left")
    tied = np.searchsorted(sn, sp, "right") - below
    area = float((below + tied / 2).mean() / len(sn))
    return RocCurve(false_accepts, true_accepts, area, *_equal_error(pairs))


def _true_accept_rate(sp: Similarities, sn: Similarities, false_accept_rate: float) -> float:
    allowed = round(false_accept_rate * len(sn))
    allowed -= allowed / len(sn) > false_accept_rate
    if allowed >= len(sn):
        return 1.0
    # the largest similarity that must be refused: accept what is above it
    refused = sn[len(sn) - 1 - allowed]
    return float(1 - np.searchsorted(sp, refused, "right") / len(sp))


def _equal_error(pairs: PairSimilarities) -> tuple[float, float]:
    """Return where both errors are equal: their rate, and the last threshold before."""
    sp, sn = pairs

    def errors(threshold: np.float32) -> tuple[float, float]:
        false_reject = int(np.searchsorted(sp, threshold, "left")) / len(sp)
        # not as 1 - a share: rounded, that would be less than an equal share of `sp`
        false_accept = (len(sn) - int(np.searchsorted(sn, threshold, "left"))) / len(sn)
        return false_reject, false_accept

    def is_strict(threshold: np.float32) -> bool:
        false_reject, false_accept = errors(threshold)
        return false_reject > false_accept

    # the ROC curve has a point at each similarity: take the two on either side of the crossing
    # float32 throughout: looking up a float would copy all pairs as float64
    first_strict = [(scores, bisect_left(scores, True, key=is_strict)) for scores in (sp, sn)]
    lenient = max(scores[first - 1] for scores, first in first_strict)
    strict = [scores[first] for scores, first in first_strict if first < len(scores)]
    reject_0, accept_0 = errors(lenient)
    reject_1, accept_1 = errors(min(strict)) if strict else (1.0, 0.0)
    gap_0, gap_1 = accept_0 - reject_0, reject_1 - accept_1
    share = gap_0 / (gap_0 + gap_1)
    return reject_0 + share * (reject_1 - reject_0), float(lenient)


def has_few_shot(pool_labels: Tensor) -> bool:
    """Tell whether each class of a pool with these labels (N,) fills its part of an index."""
    return int(pool_labels.unique(return_counts=True)[1].min()) >= SHOTS


def few_shot_indices(labels: Tensor) -> Tensor:
    """Return the images of each index, (DRAWS, C·SHOTS), of a pool with these labels (N,)."""
    generator = torch.Generator().manual_seed(0)
    places = [(labels == label).nonzero()[:, 0].cpu() for label in labels.unique()]
    indices = [
        torch.cat(
            [place[torch.randperm(len(place), generator=generator)[:SHOTS]] for place in places]
        )
        for _ in range(DRAWS)
    ]
    return torch.stack(indices).to(labels.device)


def few_shot(
    queries: tuple[Tensor, Tensor],
    pool: tuple[Tensor, Tensor],
    unseen: Tensor,
    similarity: Similarity = COSINE,
) -> dict[str, float]:
    """Return 1-NN accuracy against an index of `SHOTS` images a class, mean of `DRAWS` indices.

    As in the notebook of TensorFlow Similarity, the index has seen and unseen classes. Queries and
    pool are embeddings and labels; of the pool only `few_shot_indices` are used. `unseen` (Q,) are
    the queries of unseen classes, not none and not all.
    """
    (embeddings, labels), (gallery, gallery_labels) = queries, pool
    correct = torch.zeros(len(labels), dtype=torch.float64, device=labels.device)
    for index in few_shot_indices(gallery_labels):
        _, neighbors = nearest(embeddings, gallery[index], 1, similarity)
        correct += gallery_labels[index][neighbors[:, 0]] == labels
    correct /= DRAWS
    parts = {"all": correct, "seen": correct[~unseen], "unseen": correct[unseen]}
    return {f"few-shot/{name}": float(shares.mean()) for name, shares in parts.items()}


def rejection(similarities: Tensor, unseen: Tensor) -> dict[str, float]:
    """Return metrics of "is its class in the gallery?" by the similarity of the nearest image.

    They are the area under the ROC curve of accepting the seen (Q,), and the false-accept rate of
    the unseen at the threshold that accepts `KNOWN_ACCEPTED` of the seen.
    """
    seen_scores, unseen_scores = (
        np.sort(similarities[chosen].float().cpu().numpy()) for chosen in (~unseen, unseen)
    )
    threshold = seen_scores[int((1 - KNOWN_ACCEPTED) * len(seen_scores) + 1e-9)]
    scores = PairSimilarities(seen_scores, unseen_scores)
    return {
        "rejection/roc_auc": roc_curve(scores).area,
        f"rejection/fpr@tpr={KNOWN_ACCEPTED:g}": float((unseen_scores >= threshold).mean()),
    }


def _to_others(embeddings: Tensor, similarity: Similarity) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows (B,) in blocks and their similarities (B, N) to all vectors, −inf to itself."""
    for start, block in blocks(embeddings, len(embeddings)):
        rows = torch.arange(start, start + len(block), device=embeddings.device)
        s = similarity.between(block, embeddings)
        s[torch.arange(len(block)), rows] = -math.inf
        yield rows, s


def blocks(rows: Tensor, width: int) -> Iterator[tuple[int, Tensor]]:
    """Yield starts and blocks of rows; a block × `width` is at most `BLOCK_ELEMENTS`."""
    size = max(1, BLOCK_ELEMENTS // max(width, 1))
    for start in range(0, max(len(rows), 1), size):  # no rows are one empty block
        yield start, rows[start : start + size]


def _mean(values: Tensor) -> float:
    return float(values.double().mean())
