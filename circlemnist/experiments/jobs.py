"""The three jobs of the program: train, evaluate, plot. Each takes and leaves a run folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from circlemnist.config import Config
from circlemnist.data.classes import CLASS_NAMES
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.plots.animation import movie_formats, save_animation
from circlemnist.plots.pictures import OF_A_RUN, Style, gradients, heading, snapshot_captions
from circlemnist.plots.projection import project, project_frames
from circlemnist.plots.style import check_format, save_figure
from circlemnist.runs.whole_files import write_text, writing


def plot(
    trained: TrainedRun | None,
    kinds: Sequence[str],
    style: Style,
    out: Path | None,
    width: int,
    quiet: bool,
) -> Iterator[Path]:
    """Draw pictures of a run, and give the path of each when it is written.

    Args:
        trained: of the run; None for `gradients` alone, at the default gamma and m.
        kinds: keys of `pictures.OF_A_RUN`, "gradients" or "animation".
        out: where the picture goes, if it is one; None for the run's `plots/`.
        width: of a PNG, GIF or MP4, in pixels.

    Raises:
        UserError: the run, the data or the device is not usable, it has no snapshots to animate,
            or a picture cannot be written.
    """
    for kind in kinds:
        for path in [out] if out else _places(trained, kind, style):
            if kind == "animation":
                assert trained is not None
                _animate(trained, style, path, width, quiet)
                yield path
                continue
            check_format(path)
            if kind == "gradients":
                config = Config() if trained is None else trained.config
                figure = gradients(config, style)
            else:
                assert trained is not None
                figure = OF_A_RUN[kind](trained, style)
            save_figure(figure, path, width)
            yield path


def _places(trained: TrainedRun | None, kind: str, style: Style) -> list[Path]:
    """Where a kind goes by default: its name, and what is not the default of its style."""
    folder = Path() if trained is None else trained.run.plots
    parts = [kind]
    if kind == "embedding" and style.split != "test":
        parts.append(style.split)
    if style.theme.name != "light":
        parts.append(style.theme.name)
    suffixes = movie_formats() if kind == "animation" else (".png",)
    return [folder / ("-".join(parts) + suffix) for suffix in suffixes]


def _animate(trained: TrainedRun, style: Style, path: Path, width: int, quiet: bool) -> None:
    seen = trained.snapshots
    embeddings = seen.embeddings.astype(np.float32)
    positions, how = project_frames(embeddings, style.projection, trained.config.seed)
    counted = f"{len(seen.labels):,} {trained.evaluation.measured} images"
    save_animation(
        positions,
        seen.labels,
        CLASS_NAMES[trained.evaluation.dataset],
        snapshot_captions(trained),
        heading(trained, counted, f"{how}, "),
        style.theme,
        path,
        width,
        quiet,
    )


def explore(trained: TrainedRun, style: Style, out: Path | None) -> Path:
    """Write the page to walk through the embedding space of a run, with its snapshots if any.

    Args:
        out: where it goes; None for `explorer.html` in the run's `plots/`.

    Raises:
        UserError: the run, the data or the device is not usable, or the page cannot be written.
    """
    from circlemnist.plots.explorer import Frames, explorer_html

    evaluation = trained.evaluation
    arrays = evaluation.arrays
    config = trained.config
    points, how = project(arrays.embeddings, style.projection, config.seed)
    frames = None
    if trained.has_snapshots:
        seen = trained.snapshots
        positions, _ = project_frames(
            seen.embeddings.astype(np.float32),
            style.projection,
            config.seed,
            last=points[seen.indices, :2],
        )
        frames = Frames(snapshot_captions(trained), positions[..., :2], seen.labels)
    page = explorer_html(
        points[:, :2],
        arrays.labels,
        arrays.neighbor_labels[:, 0],
        trained.dataset.test.images.numpy(),
        CLASS_NAMES[evaluation.dataset],
        arrays.embeddings,
        heading(trained, evaluation.counted, f"{how}, ").replace("\n", ", "),
        config.m,
        style.theme,
        frames,
    )
    path = out or trained.run.plots / "explorer.html"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, page)
    return path
