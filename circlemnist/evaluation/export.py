"""The network of a run as a file for other programs, with the facts that they need."""

import json
from dataclasses import asdict
from pathlib import Path

from circlemnist.config import MACHINE_SETTINGS, Config
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import load_embedder
from circlemnist.evaluation.metrics import similarity_of
from circlemnist.models.export import WholeEmbedder, onnx_model, require_onnx, torch_program
from circlemnist.runs.files import write_bytes, writing
from circlemnist.runs.run import Run
from circlemnist.version import __version__

KINDS = {"onnx": (onnx_model, ".onnx"), "torch": (torch_program, ".pt2")}


def export_network(
    run: Run, kind: str, pixels: str = "uint8", out: Path | None = None
) -> tuple[Path, float]:
    """Write the network of a run, with its test-time augmentation, as a file for other programs.

    Args:
        kind: a key of `KINDS`.
        pixels: of the images that it takes: "uint8" of 0-255, or "float32" of 0-1.

    Returns:
        Its path, and its largest difference from torch. No file is left after a UserError.
    """
    export, suffix = KINDS[kind]
    if kind == "onnx":
        require_onnx()  # ahead of loading the network
    path = out or run.folder / f"embedder{suffix}"
    if path.suffix.lower() != suffix:
        raise UserError(f"cannot export {kind} into {path}: the name must end in {suffix}")
    config = run.config()
    embedder, checkpoint = load_embedder(run, config, "cpu")
    network = WholeEmbedder(embedder, config.views, pixels)
    exported = export(network, facts(run.name, config, checkpoint, pixels))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, exported.content)
    return path, exported.difference


def facts(name: str, config: Config, checkpoint: str | None, pixels: str) -> dict[str, str]:
    """Return the facts in the file of a network; lists and objects as JSON."""
    settings = {k: v for k, v in asdict(config).items() if k not in MACHINE_SETTINGS}
    length = "of length 1" if config.loss_info.on_sphere else "of any length"
    most = 255 if pixels == "uint8" else 1
    return {
        "circlemnist": __version__,
        "run": name,
        "checkpoint": checkpoint or "",
        "dataset": config.dataset,
        "classes": json.dumps(config.class_names),
        "settings": json.dumps(settings),
        "images": f"(N, 28, 28) {pixels}, 0 the background and {most} full ink",
        "embeddings": f"(N, {config.dim}) float32, {length}",
        "similarity": similarity_of(config).name,
    }
