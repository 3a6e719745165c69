"""Warnings about frequent mistakes, before and while a run trains, each with its remedy."""

import math
from collections.abc import Iterator

from torch import Tensor

from circlemnist.config import Config
from circlemnist.family import CIRCLES
from circlemnist.runs.history import Epoch

# angles between neighbours in the best codes known of C directions in D dimensions, in degrees, by
# (C, D): N. J. A. Sloane's tables of spherical codes
SPHERICAL_CODES = {(10, 3): 66.1468, (10, 4): 80.4060}

WARM_UP_STEPS = 200
COLLAPSED_COSINE, COLLAPSED_GAP = 0.9, 0.05


def unreachable_margin(config: Config, classes: int = 10) -> str | None:
    """Warn where so many classes cannot meet Circle Loss's margin in `dim` dimensions.

    On the decision boundary s_n² + (s_p - 1)² = 2m² an anchor with s_p = 1 has s_n = √2·m. For
    m < 0, where alpha_n is 0 up to s_n = -m, that is what is asked for.
    """
    if config.m is None or config.loss not in CIRCLES:
        return None
    cosine = closest_cosine(classes, config.dim)
    if cosine is None:
        return None
    limit, formula = math.sqrt(2) * config.m, "√2·m"
    if config.m < 0:
        limit, formula = -config.m, "-m"
    if limit >= cosine:
        return None
    least = math.ceil(100 * cosine / math.sqrt(2)) / 100
    return (
        f"{classes} classes in {config.dim} dimensions have neighbours with a cosine of "
        f"{cosine:.2f} at best, above the {formula} = {limit:.2f} that `m` "
        f"{config.m:g} asks for: take `m` {least:g} or more, or a larger `dim`"
    )


def closest_cosine(classes: int, dim: int) -> float | None:
    """Return the largest cosine among two or more directions that are as far apart as possible.

    A simplex where there is room for one, an orthoplex for up to twice the dimensions, a regular
    polygon in the plane, and else `SPHERICAL_CODES`; None where these have none.
    """
    if dim >= classes - 1:
        return -1 / (classes - 1)
    if classes <= 2 * dim:
        return 0.0
    if dim == 1:
        return 1.0
    if dim == 2:
        return math.cos(2 * math.pi / classes)
    angle = SPHERICAL_CODES.get((classes, dim))
    return None if angle is None else math.cos(math.radians(angle))


def diagnose(history: list[Epoch], values: Tensor, config: Config) -> Iterator[tuple[str, str]]:
    """Look for mistakes that show after an epoch; yield the kind of each, and a warning.

    `values` (steps, 4) are the loss, mean s_p, mean s_n and violating of its steps.
    """
    _, sp, sn, _ = values.cpu().double().unbind(1)
    pairless = int((sp.isnan() | sn.isnan()).sum())
    if pairless and not config.loss_info.has_class_weights:
        yield (
            "pairless",
            f"{pairless} of {len(values)} batches of epoch {len(history)} had no positive or no "
            f"negative pair, and taught nothing: raise `batch_size` above {config.batch_size}",
        )
    half = len(values) // 2
    mean_sp, mean_sn = sp[half:].nanmean().item(), sn[half:].nanmean().item()
    warm = len(history) * len(values) >= WARM_UP_STEPS
    if warm and mean_sn > COLLAPSED_COSINE and mean_sp - mean_sn < COLLAPSED_GAP:
        yield (
            "collapse",
            f"the embeddings have collapsed to a point, mean s_n {mean_sn:.3f} at mean s_p "
            f"{mean_sp:.3f} after epoch {len(history)}: lower `lr`, or take a `net` that ends in "
            "BatchNorm: all but article, with `last_norm`",
        )
    epochs = math.ceil(WARM_UP_STEPS / len(values))
    if len(history) > epochs and config.loss_info.decreases:
        first, before, now = history[0].loss, history[-1 - epochs].loss, history[-1].loss
        stuck = now > 0.99 * before and now > 0.9 * first
        if stuck or now > before + 0.1 * first:
            yield (
                "no fall",
                f"the loss does not fall: {before:.3f} in epoch {len(history) - epochs}, "
                f"{now:.3f} in epoch {len(history)}: try a lower `lr`, or a higher one if it is "
                "tiny",
            )
