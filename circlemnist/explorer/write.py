"""From a run to its page."""

from pathlib import Path

import numpy as np
import torch

from circlemnist.data.classes import CLASS_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.metrics import nearest_others
from circlemnist.evaluation.pair_plane import boundary_of
from circlemnist.explorer.pad import pad_of
from circlemnist.explorer.page import explorer_html
from circlemnist.explorer.space import Frames, Space
from circlemnist.plots.captions import heading, snapshot_captions
from circlemnist.plots.kept_projection import project_run
from circlemnist.plots.kinds import check_suffix
from circlemnist.plots.projection import native_dimensions, project_frames
from circlemnist.plots.style import Points, Style
from circlemnist.runs.files import write_text, writing

NEIGHBORS = 5


def write_page(trained: EvaluatedRun, style: Style, out: Path | None = None) -> Path:
    """Write the page to walk through the embedding space of a run, with its snapshots if any.

    Args:
        out: where it goes; None for `explorer.html` in the run's `plots/`.

    Raises:
        UserError: the run, the data or the device is not usable, or the page cannot be written, or
            not into a file of that name.
    """
    path = out or trained.run.plots / "explorer.html"
    check_suffix(path, [".html"], "write the page")
    evaluation, config = trained.report, trained.config
    arrays = evaluation.arrays
    names = [
        f"{name}, unseen" if label in evaluation.unseen else name
        for label, name in enumerate(CLASS_NAMES[evaluation.dataset])
    ]
    pad = pad_of(trained)  # ahead of what takes long, in which the run may train on
    embeddings = torch.from_numpy(arrays.embeddings)
    native = native_dimensions(config)
    positions, how = project_run(trained, arrays.embeddings, style.projection)
    if positions.shape[1] > 2:
        how += ", seen from one side"
    frames = None
    if trained.has_snapshots:
        seen = trained.snapshots
        moving, _ = project_frames(
            seen.embeddings.astype(np.float32),
            style.projection,
            config.seed,
            native,
            last=positions[seen.indices, :2],
        )
        moved = Points(moving[..., :2], seen.labels, names)
        frames = Frames(snapshot_captions(trained), moved, seen.indices)
    space = Space(
        points=Points(positions[:, :2], arrays.labels, names),
        predicted=np.where(evaluation.seen, arrays.neighbor_labels[:, 0], arrays.labels),
        images=trained.test_images.numpy(),
        directions=trained.directions(embeddings).numpy(),
        neighbors=nearest_others(embeddings, NEIGHBORS, trained.similarity)[1].numpy(),
        boundary=boundary_of(config).lines(),
        frames=frames,
        pad=pad,
    )
    title = heading(trained, evaluation.counted_all, f"{how}, ").replace("\n", ", ")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, explorer_html(space, title, style.theme))
    return path
