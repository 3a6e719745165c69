"""The explainer's page: its script, its words and the pairs of a run, in one file."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Template

from circlemnist import explorer
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.pair_plane import pair_places
from circlemnist.explorer.page import script_json
from circlemnist.plots.kinds import check_suffix
from circlemnist.plots.layout import snapshot_captions
from circlemnist.plots.style import DARK, LIGHT, Array
from circlemnist.runs.files import write_text, writing

LOSSES = {  # that the page has, and their names there
    "triplet": "Triplet loss",
    "cosface": "CosFace / AM-Softmax",
    "arcface": "ArcFace",
    "circle": "Circle Loss",
}
SHOWN_PAIRS = 200  # of a run, at each time


def write_explainer(path: Path, language: str = "en", trained: EvaluatedRun | None = None) -> None:
    """Write the page, with the pairs of a run behind the point where one is given.

    Args:
        path: of an .html file.
        language: "en" or "ja".

    Raises:
        UserError: the run or its data is not usable, its loss is not one of the page, or the page
            cannot be written.
    """
    check_suffix(path, [".html"], "write the page")
    run = None if trained is None else pairs_of_run(trained)
    here = files(__package__)
    words = json.loads((here / f"words.{language}.json").read_text("utf-8"))
    facts = {
        "words": words,
        "steps": words.pop("steps"),
        "classes": {theme.name: theme.classes for theme in (LIGHT, DARK)},
        "losses": LOSSES,
        "run": run,
    }
    page = Template((here / "page.html").read_text("utf-8")).render(
        language=language,
        words=words,
        css=Template((here / "page.css").read_text("utf-8")).render(light=LIGHT, dark=DARK),
        losses=LOSSES,
        run=run,
        mathematics=(files(explorer) / "losses.js").read_text("utf-8"),
        script=(here / "page.js").read_text("utf-8"),
        facts=script_json(facts),
    )
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, page)


def pairs_of_run(trained: EvaluatedRun) -> dict[str, Any]:
    """Return the pairs of a run as the page shows them, from its snapshots where it has them.

    An image's s_p is its mean cosine to its class, s_n that to the nearest other class.

    Raises:
        UserError: the run or its data is not usable, or the page does not have its loss.
    """
    config = trained.config
    if config.loss not in LOSSES:
        page_losses = ", ".join(LOSSES)
        raise UserError(f"{trained.run.name} has loss {config.loss}; the page has {page_losses}")
    if trained.has_snapshots:
        snapshots = trained.snapshots
        labels, embeddings = snapshots.labels, snapshots.embeddings.astype(np.float32)
        captions = list(snapshot_captions(trained))
    else:
        arrays = trained.report.arrays
        sample = np.linspace(0, len(arrays.labels) - 1, min(500, len(arrays.labels))).astype(int)
        labels, embeddings = arrays.labels[sample], arrays.embeddings[None, sample]
        captions = ["after training"]
    frames = [_pairs(frame, labels) for frame in embeddings]
    return {
        "loss": config.loss,
        "gamma": config.gamma or 1,
        "m": config.m,
        "frames": [
            {"caption": caption, "pairs": pairs[:SHOWN_PAIRS].round(2).tolist()}
            for caption, pairs in zip(captions, frames, strict=True)
        ],
        "path": [pairs.mean(0).round(3).tolist() for pairs in frames],
    }


def _pairs(directions: Array, labels: Array) -> Array:
    """(N, 2) s_n and s_p of images that have another of their class, by unit rows (N, D)."""
    pairs = pair_places(directions, labels)
    complete: Array = pairs[np.isfinite(pairs).all(1)]
    return complete
