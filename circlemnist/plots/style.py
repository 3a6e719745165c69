"""Colours, projection-independent looks and the saving of pictures."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from circlemnist.atomic import replacing
from circlemnist.errors import UserError

FORMATS = (".png", ".svg", ".pdf")
DPI = 150

# Paul Tol's "muted" scheme and black: ten colours that colour-blind readers tell apart
CLASS_COLORS = (
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#AA4499",
    "#000000",
)


def check_format(path: Path) -> None:
    """Raise UserError where `path` has no suffix of a format that can be drawn."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"cannot draw into {path}: the name must end in {', '.join(FORMATS)}")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix of `path`, atomically.

    Raises:
        UserError: another suffix, or the file cannot be written.
    """
    check_format(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, rc_context({"svg.fonttype": "none"}):
            figure.savefig(temporary, dpi=DPI)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
