"""`circlemnist export`."""

from pathlib import Path

import click

from circlemnist.cli import options

FORMATS = ("onnx", "torch", "projector")


@click.command()
@options.run_options
@options.choice_option("--format", "kind", choices=FORMATS, default="onnx", help="file format")
@options.choice_option(
    "--input",
    "pixels",
    choices=("uint8", "float32"),
    default="uint8",
    help="pixels that the exported network takes: 0-255, or 0-1",
)
@options.out_option(
    "file, or folder of a projector  "
    "[default: embedder.onnx, embedder.pt2 or projector, in the run]",
)
def export(
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
    options.refuse_unused_flags()
    trained = options.open_run(run_name, outputs, data_dir, device)
    from circlemnist.evaluation.export import export_network, write_projector

    if kind == "projector":
        click.echo(f"projector: {write_projector(trained, out)}")
        return
    path, difference = export_network(trained.run, kind, pixels, out)
    click.echo(f"network: {path}")
    click.echo(f"largest difference from torch: {difference:.1e}")
