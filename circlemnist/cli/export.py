"""`circlemnist export`."""

from pathlib import Path

import click

from circlemnist.cli.options import NearestChoice, PrintablePath, refuse_unused_flags, run_options
from circlemnist.process import loading
from circlemnist.runs.run import find_run


@click.command()
@run_options
@click.option(
    "--format",
    "kind",
    type=NearestChoice(("onnx", "torch", "projector")),
    default="onnx",
    show_default=True,
    help="file format",
)
@click.option(
    "--input",
    "pixels",
    type=NearestChoice(("uint8", "float32")),
    default="uint8",
    show_default=True,
    help="pixels that the exported network takes: 0-255, or 0-1",
)
@click.option(
    "--out",
    type=PrintablePath(),
    help="file, or folder of a projector  "
    "[default: embedder.onnx, embedder.pt2 or projector, in the run]",
)
@click.pass_context
def export(
    ctx: click.Context,
    /,
    run_name: str | None,
    outputs: Path,
    data_dir: str | None,
    device: str,
    kind: str,
    pixels: str,
    out: Path | None,
) -> None:
    """Write the network or the embeddings of a run for other programs.

    RUN is the name or folder of a run, by default the newest. The exported network takes images
    (N, 28, 28), for any N. It returns embeddings (N, D), of length 1 if they are compared by
    cosine. Before the file is written, its outputs are compared with those of torch.

    \b
    onnx       .onnx for onnxruntime, with classes and settings as metadata
    torch      .pt2 for torch, by torch.export
    projector  embeddings, classes and images for TensorBoard's projector

    \b
    Examples:
      circlemnist export
      circlemnist export --format torch --input float32 --out embedder.pt2
      circlemnist export --format projector --out space
    """
    refuse_unused_flags(ctx)
    run = find_run(outputs, run_name)

    if kind == "projector":
        with loading():
            from circlemnist.evaluation.evaluate import EvaluatedRun
            from circlemnist.evaluation.export import write_projector

        click.echo(f"projector: {write_projector(EvaluatedRun(run, data_dir, device), out)}")
        return

    with loading():
        from circlemnist.evaluation.export import export_network

    path, difference = export_network(run, kind, pixels, out)
    click.echo(f"network: {path}")
    click.echo(f"largest difference from torch: {difference:.1e}")
