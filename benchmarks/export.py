"""An exported network against torch: its embeddings, and the time that they take.

    python -m benchmarks.export outputs/NAME --data-dir data
    python -m benchmarks.export outputs/NAME --data-dir data --threads 1 --rounds 9

Exports the run as ONNX, embeds its 10,000 test images with onnxruntime and with torch, in blocks of
500, and compares every number. Then both do so in turn, with as many threads; the ratio is of the
same round, after one that is not timed. Expected: no number differs by more than 1e-5 (asked), and
onnxruntime takes no longer than torch (asked).
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.export import export_network
from circlemnist.models.embedder import BLOCK, embed
from circlemnist.runs.run import find_run


def in_onnxruntime(file: Path, threads: int) -> Callable[[Tensor], Tensor]:
    """Return what embeds images (N, 28, 28) uint8 in blocks by the model in `file`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        blocks = [session.run(None, {"images": each.numpy()})[0] for each in images.split(BLOCK)]
        return torch.from_numpy(np.concatenate(blocks))

    return run


def main() -> None:
    """Export, compare, time, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="name or folder of a run")
    parser.add_argument("--data-dir", help="folder that holds MNIST")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run = find_run(Path("outputs"), arguments.run)
    trained = EvaluatedRun(run, arguments.data_dir, "cpu")
    images, views = trained.dataset.test.images, trained.config.views
    with tempfile.TemporaryDirectory() as folder:
        file, _ = export_network(run, "onnx", out=Path(folder) / "embedder.onnx")
        onnx = in_onnxruntime(file, arguments.threads)
        difference = (onnx(images) - embed(trained.embedder, images, views)).abs().max().item()
        print(f"{len(images):,} images, {os.cpu_count()} cores, {arguments.threads} threads")
        print(f"largest difference   {difference:.1e}")
        ratios = []
        for _ in range(arguments.rounds):
            begun = time.perf_counter()
            embed(trained.embedder, images, views)
            between = time.perf_counter()
            onnx(images)
            ratios.append((time.perf_counter() - between) / (between - begun))
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"onnxruntime / torch  {middle:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
