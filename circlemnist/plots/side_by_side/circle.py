"""The pairs of each group in the (s_n, s_p) plane, with the decision boundary of its loss."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.evaluation.pair_plane import boundary_of, pair_density, share_beyond
from circlemnist.plots.circle import draw_cloud
from circlemnist.plots.side_by_side.panels import (
    Grid,
    caption,
    drawn,
    number_lowest,
    sample,
    sampled,
)
from circlemnist.plots.style import Array, Blank, Style

BINS = 100


def draw(groups: Sequence[Group], style: Style) -> Figure:
    """Draw where the pairs of each group's first run lie; one colour is one density in all."""
    groups, which = drawn(groups)
    grid = Grid.of(len(groups))
    clouds = [_density(group) for group in groups]
    most = max(float(density.max()) for density in clouds)
    blank = Blank(f"pairs of {sampled(groups)}{which}", style.theme)
    with blank.figure(grid.width, 0.6 + grid.rows * (grid.side + 0.4)) as figure:
        figure.set_layout_engine("compressed")  # which knows that planes are square
        panels = figure.subplots(grid.rows, grid.columns, sharex=True, sharey=True, squeeze=False)
        for axes, group, density in zip(panels.flat, groups, clouds, strict=False):
            boundary = boundary_of(group.runs[0].config)
            draw_cloud(axes, density, boundary, blank.theme, most)
            beyond = f"\n{100 * share_beyond(density, boundary):.1f} % outside the {boundary.name}"
            axes.set_title(caption(group, grid, beyond), fontsize=11, pad=12)
        for axes in panels.flat[len(groups) :]:
            axes.set_axis_off()
        number_lowest(panels.flat[: len(groups)], grid)
        figure.supxlabel("$s_n$, cosine to another class", fontsize=12)
        figure.supylabel("$s_p$, cosine within the class", fontsize=12)
    return figure


def _density(group: Group) -> Array:
    trained = EvaluatedRun(group.runs[0].run)
    embeddings, labels = trained.test_points
    chosen = sample(len(labels))
    return pair_density(trained.directions(embeddings[chosen]), labels[chosen], BINS)
