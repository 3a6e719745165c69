"""The embedder as a file that runs without this package: an ONNX model, or a program of torch.

What goes in are `images` (N, 28, 28), any N, uint8 of 0-255 or float32 of 0-1; what comes out are
`embeddings` (N, D) float32, those that `embed` gives. A file is made in memory, and given away only
once it has given the embeddings of the network that it was made from.
"""

import copy
import io
import json
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circlemnist.config import SIDE
from circlemnist.errors import UserError
from circlemnist.models.embedder import Embedder, mean_of_shifted_views

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-5
PIXELS = {"uint8": torch.uint8, "float32": torch.float32}
FACTS = "circlemnist.json"  # in a program of torch, what an ONNX model has as its metadata
MADE_UP = 64
Run = Callable[[Tensor], Tensor]


class Exported(NamedTuple):
    """A file that was checked against torch."""

    content: bytes
    difference: float  # as `largest_difference` counts it


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

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (N, 28, 28) of the type of the pixels as (N, D) float32."""
        return mean_of_shifted_views(self.embedder, images[:, None].float() / self.most, self.views)


def require_onnx() -> None:
    """Raise UserError where the packages that ONNX needs are not installed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(package)
        except ImportError as error:
            raise UserError(
                f"`format` onnx needs the package {package}: pip install 'circlemnist[onnx]'"
            ) from error


def onnx_model(network: WholeEmbedder, facts: Mapping[str, str]) -> Exported:
    """Return an ONNX model of the network, with `facts` as its metadata.

    Raises:
        UserError: the packages are not installed, or the model gives other embeddings than torch.
    """
    require_onnx()
    import onnx
    import onnxruntime

    with warnings.catch_warnings(action="ignore"):  # they are for those who work on the exporter
        program = torch.onnx.export(
            network,
            (_two_images(network),),
            input_names=["images"],
            output_names=["embeddings"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_the_source(model)
    onnx.helper.set_model_props(model, dict(facts))
    content = model.SerializeToString(deterministic=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    difference = _checked(network, run, "the ONNX model", "update onnx, onnxscript and onnxruntime")
    return Exported(content, difference)


def torch_program(network: WholeEmbedder, facts: Mapping[str, str]) -> Exported:
    """Return a program of `torch.export`, with `facts` as JSON in its extra file `FACTS`.

    Raises:
        UserError: once loaded again, it gives other embeddings than the network.
    """
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        program = torch.export.export(
            network,
            (_two_images(network),),
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        )
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # it names files of this machine
        torch.export.save(program, file, extra_files={FACTS: json.dumps(dict(facts), indent=2)})
        file.seek(0)
        loaded = torch.export.load(file).module()
    difference = _checked(network, loaded, "the program", "update torch")
    return Exported(file.getvalue(), difference)


def largest_difference(network: nn.Module, run: Run, images: Tensor) -> float:
    """Return how far the embeddings of `run` are from those of the network, at most.

    Where embeddings are longer than 1, it is in parts of their largest number, which is what
    float32 keeps. NaN where one is not finite.
    """
    with torch.inference_mode():
        wanted: Tensor = network(images)
        got = run(images)
    if got.shape != wanted.shape:
        return torch.inf
    scale = wanted.abs().max().clamp(min=1)
    difference: float = ((got - wanted).abs().max() / scale).item()
    return difference


def made_up_images(dtype: torch.dtype) -> Tensor:
    """Return 64 images (N, 28, 28), uint8 of 0-255 or float32 of 0-1: noise and blobs."""
    generator = torch.Generator().manual_seed(0)
    count = MADE_UP // 2
    noise = torch.rand(count, SIDE, SIDE, generator=generator)
    coarse = torch.rand(count, 1, 7, 7, generator=generator)
    blobs = F.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")[:, 0]
    images = torch.cat([noise, (4 * blobs - 2).clamp(0, 1)])
    images[0], images[1] = 0, 1
    return images if dtype == torch.float32 else (images * 255).to(dtype)


def _checked(network: WholeEmbedder, run: Run, what: str, mend: str) -> float:
    """Return the largest difference over batches of several sizes, if it is within `TOLERANCE`."""
    images = made_up_images(network.dtype)
    batches = (images, images[2:3], images[-5:])
    differences = [largest_difference(network, run, batch) for batch in batches]
    worst = torch.tensor(differences).max().item()  # NaN where one is
    if not worst <= TOLERANCE:
        raise UserError(
            f"{what} gives other embeddings than torch, by {worst:.1e} where {TOLERANCE:g} is "
            f"allowed, and is not written: {mend}"
        )
    return worst


def _two_images(network: WholeEmbedder) -> Tensor:
    """An example (2, 28, 28): torch takes an axis of one image for fixed."""
    return torch.zeros(2, SIDE, SIDE, dtype=network.dtype)


def _forget_the_source(model: "onnx.ModelProto") -> None:
    """Remove what torch notes of the source of each node, with the paths of this machine."""
    graph = model.graph
    parts: list[Any] = [graph, *graph.node, *graph.input, *graph.output]
    for part in [*parts, *graph.value_info, *graph.initializer]:
        del part.metadata_props[:]
        part.doc_string = ""
