"""A run as files for other programs: its network, or its embeddings.

A network takes `images` (N, 28, 28), any N, uint8 of 0-255 or float32 of 0-1, and gives
`embeddings` (N, D) float32, those of `embed`. Its file is made in memory, and written only once it
has given the embeddings of the network that it was made from.
"""

import copy
import io
import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from circlemnist import __version__
from circlemnist.config import MACHINE_SETTINGS, SIDE, Config
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun, load_embedder
from circlemnist.evaluation.metrics import similarity_of
from circlemnist.models.embedder import Embedder, mean_of_shifted_views
from circlemnist.process import working
from circlemnist.runs.files import atomic_folder, write_bytes, writing
from circlemnist.runs.run import Run

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-5
PIXELS = {"uint8": torch.uint8, "float32": torch.float32}
FACTS = "circlemnist.json"  # in a program of torch, what an ONNX model has as its metadata
Embed = Callable[[Tensor], Tensor]
PROJECTOR_CONFIG = f"""embeddings {{
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {SIDE}
    single_image_dim: {SIDE}
  }}
}}
"""


@working("exporting the network")
def export_network(
    run: Run, kind: str, pixels: str = "uint8", out: Path | None = None
) -> tuple[Path, float]:
    """Write the network of a run, with its test-time augmentation, as a file for other programs.

    Args:
        kind: "onnx" or "torch".
        pixels: of the images that it takes: "uint8" of 0-255, or "float32" of 0-1.

    Returns:
        Its path, and its largest difference from torch. No file is left after a UserError.
    """
    export, suffix = (onnx_model, ".onnx") if kind == "onnx" else (torch_program, ".pt2")
    path = out or run.folder / f"embedder{suffix}"
    if path.suffix.lower() != suffix:
        raise UserError(f"cannot export {kind} into {path}: the name must end in {suffix}")
    config = run.config()
    embedder, checkpoint = load_embedder(run, config, "cpu")
    network = WholeEmbedder(embedder, config.views, pixels)
    content, difference = export(network, facts(run.name, config, checkpoint, pixels))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    return path, difference


class WholeEmbedder(nn.Module):
    """An embedder with all that is done to images before it and to embeddings after it.

    Args:
        embedder: copied, onto the CPU and into eval mode.
        views: of each image, as for `embed`.
        pixels: "uint8" for images of 0-255, "float32" for images of 0-1.
    """

    def __init__(self, embedder: Embedder, views: int, pixels: str) -> None:
        super().__init__()
        self.embedder = copy.deepcopy(embedder).cpu()
        self.views, self.most = views, 255 if pixels == "uint8" else 1
        self.dtype = PIXELS[pixels]
        self.eval()

    def example(self) -> tuple[Tensor]:
        """Two images to trace: torch takes an axis of one image for fixed."""
        return (torch.zeros(2, SIDE, SIDE, dtype=self.dtype),)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (N, 28, 28) of the type of the pixels as (N, D) float32."""
        return mean_of_shifted_views(self.embedder, images[:, None].float() / self.most, self.views)


def onnx_model(network: WholeEmbedder, facts: Mapping[str, str]) -> tuple[bytes, float]:
    """Return an ONNX model with `facts` as its metadata, and its `largest_difference` from torch.

    Raises:
        UserError: the packages are not installed, or the model gives other embeddings than torch.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - torch.onnx.export needs it
    except ImportError as error:
        raise UserError(
            f"`format` onnx needs the package {error.name}: pip install 'circlemnist[onnx]'"
        ) from error

    with warnings.catch_warnings(action="ignore"):  # they are for those who work on the exporter
        program = torch.onnx.export(
            network,
            network.example(),
            input_names=["images"],
            output_names=["embeddings"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _remove_source_paths(model)
    onnx.helper.set_model_props(model, dict(facts))
    content = model.SerializeToString(deterministic=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    packages = "onnx, onnxscript and onnxruntime"
    return content, _checked_difference(network, run, "the ONNX model", packages)


def torch_program(network: WholeEmbedder, facts: Mapping[str, str]) -> tuple[bytes, float]:
    """Return a program of `torch.export` with `facts` as JSON in its extra file `FACTS`.

    Its `largest_difference` is of the program loaded again; raises UserError as `onnx_model` does.
    """
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        batch = {"images": {0: torch.export.Dim("batch")}}
        program = torch.export.export(network, network.example(), dynamic_shapes=batch)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # it names files of this machine
        torch.export.save(program, file, extra_files={FACTS: json.dumps(dict(facts), indent=2)})
        file.seek(0)
        loaded = torch.export.load(file).module()
    return file.getvalue(), _checked_difference(network, loaded, "the program", "torch")


def largest_difference(network: nn.Module, run: Embed, images: Tensor) -> float:
    """Return how far the embeddings of `run` are from those of the network, at most.

    Where embeddings are longer than 1, it is in parts of their largest number. NaN where one is
    not finite.
    """
    with torch.inference_mode():
        wanted: Tensor = network(images)
        got = run(images)
    scale = wanted.abs().max().clamp(min=1)
    difference: float = ((got - wanted).abs().max() / scale).item()
    return difference


def _checked_difference(network: WholeEmbedder, run: Embed, file: str, packages: str) -> float:
    """Return the largest difference for 64 images of noise, if it is within `TOLERANCE`."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (64, SIDE, SIDE), generator=generator)
    images = noise.byte() if network.dtype == torch.uint8 else noise / 255
    difference = largest_difference(network, run, images)
    if not difference <= TOLERANCE:  # NaN neither
        raise UserError(
            f"{file} gives other embeddings than torch, by {difference:.1e} where {TOLERANCE:g} is "
            f"allowed, and is not written: update {packages}"
        )
    return difference


def _remove_source_paths(model: "onnx.ModelProto") -> None:
    """Remove the source of each node that torch notes, with the paths of this machine."""
    graph = model.graph
    parts: list[Any] = [graph, *graph.node, *graph.input, *graph.output]
    for part in [*parts, *graph.value_info, *graph.initializer]:
        del part.metadata_props[:]
        part.doc_string = ""


def facts(name: str, config: Config, checkpoint: str | None, pixels: str) -> dict[str, str]:
    """Return the facts in the file of a network; lists and objects as JSON."""
    dataset = Path(config.dataset).name  # of a folder no path of this machine
    settings = {k: v for k, v in asdict(config).items() if k not in MACHINE_SETTINGS}
    settings["dataset"] = dataset
    length = "of length 1" if config.loss_info.on_sphere else "of any length"
    most = 255 if pixels == "uint8" else 1
    return {
        "circlemnist": __version__,
        "run": name,
        "checkpoint": checkpoint or "",
        "dataset": dataset,
        "classes": json.dumps(config.class_names),
        "settings": json.dumps(settings),
        "images": f"(N, 28, 28) {pixels}, 0 the background and {most} full ink",
        "embeddings": f"(N, {config.dim}) float32, {length}",
        "similarity": similarity_of(config).name,
    }


def write_projector(trained: EvaluatedRun, out: Path | None = None) -> Path:
    """Write the test embeddings, the images, and their classes and those of the nearest images.

    Args:
        out: a folder, made where it is not there; None for `projector` in the run.

    Raises:
        UserError: the run, the data or the device is not usable, or the folder cannot be written.
    """
    report = trained.report
    arrays, names = report.arrays, report.config.class_names
    images = trained.dataset.test.images.numpy()
    pairs = zip(arrays.labels, arrays.neighbor_labels[:, 0], strict=True)
    rows = [f"{names[label]}\t{names[nearest]}\n" for label, nearest in pairs]
    path = out or trained.run.folder / "projector"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(path) as folder:
            # as many digits as give a float32 back
            np.savetxt(folder / "vectors.tsv", arrays.embeddings, fmt="%.9g", delimiter="\t")
            (folder / "metadata.tsv").write_text("class\tnearest\n" + "".join(rows), "utf-8")
            # the projector lays the colour of a class over it, which dark ink stands out from
            side = math.ceil(math.sqrt(len(images)))
            sprite = Image.fromarray(255 - sheet(images, side, side))
            sprite.save(folder / "sprite.png", optimize=True)
            (folder / "projector_config.pbtxt").write_text(PROJECTOR_CONFIG, "utf-8")
    return path


def sheet(images: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Return images (N, 28, 28) uint8 as one, (28 rows, 28 columns), row by row; the rest is 0."""
    full = np.zeros((rows * columns, SIDE, SIDE), np.uint8)
    full[: len(images)] = images
    grid = full.reshape(rows, columns, SIDE, SIDE).swapaxes(1, 2)
    return grid.reshape(rows * SIDE, columns * SIDE)
