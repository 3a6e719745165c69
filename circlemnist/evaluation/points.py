"""Thresholds of "its class is in the gallery", and what each gets wrong; as kept in eval.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from circlemnist.errors import SettingError

FAR = 0.01  # false accepts, where no other rate is asked for


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold of typicality: an image that is more typical of some class is known.

    Attributes:
        far: the false accepts that were allowed, 0-1, of images whose class the gallery lacks.
        threshold: of the typicality, 0-1.
        false_accepts: the share of those images that it takes for known, `far` or less.
        false_rejects: the share of images of the gallery's classes that it takes for unknown.
    """

    far: float
    threshold: float
    false_accepts: float
    false_rejects: float


def point_at(points: Sequence[OperatingPoint], far: float = FAR) -> OperatingPoint:
    """Return the point for a rate of false accepts, or for the next smaller rate that is kept.

    Raises:
        SettingError: it is not between the least rate that is kept and 1.
    """
    fitting = [point for point in points if point.far <= far < 1]
    if not fitting:
        least = min(point.far for point in points)
        raise SettingError("far", f"must be ≥ {least:g} and < 1, not {far}")
    return max(fitting, key=lambda point: point.far)


def read_points(report: Mapping[str, Any]) -> tuple[OperatingPoint, ...]:
    """Return the points in what eval.json holds; none where it is of an older version.

    Raises:
        ValueError, LookupError, TypeError: it holds something else.
    """
    names = [field.name for field in fields(OperatingPoint)]
    rows = report.get("known", ())
    return tuple(OperatingPoint(*(float(row[name]) for name in names)) for row in rows)
