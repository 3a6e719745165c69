"""How far many processes end from one, and why: rounding, which training makes grow.

    torchrun --standalone --nproc-per-node 2 -m benchmarks.processes     # some minutes

Trains networks for a few epochs on digits, in many processes and in one, in float64 and float32,
and in one again with its first weights multiplied by 1 + 1e-7. Prints the largest difference of a
weight or running statistic at the end, as a share of the largest of its tensor. Expected: nothing
in float64; in float32 about as much as the weights that were changed by a rounding.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from circlemnist.config import Config
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.process import StopSignals
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.loop import fit
from circlemnist.training.processes import ALONE, Processes, join_processes
from circlemnist.training.progress import Progress

CONFIG = Config(dataset="digits", net="article", epochs=3, precision="float32")
CONFIGS = {
    "article": CONFIG,
    "article, lr 0.0001": replace(CONFIG, lr=0.0001),
    "tiny, with BatchNorm": replace(CONFIG, net="tiny"),
}
Weights = dict[str, Tensor]


def trained(
    config: Config, split: Split, processes: Processes, double: bool, factor: float = 1.0
) -> Weights:
    """What the embedder and the objective end as, their first weights multiplied by `factor`."""
    state = build_training(config, split, processes)
    if double:
        state.embedder.double()
        state.objective.double()
        state.forward = lambda images: state.embedder.stages(images.double())
    with torch.no_grad():
        for parameter in state.parameters():
            parameter.mul_(factor)
    quiet = Progress("quiet", config, len(split))
    with tempfile.TemporaryDirectory() as folder:
        fit(state, config, split, Run(Path(folder)), quiet, StopSignals(processes.maximum))
    ends = {**state.embedder.state_dict(), **state.objective.state_dict()}
    return {k: v for k, v in ends.items() if isinstance(v, Tensor) and v.is_floating_point()}


def apart(these: Weights, those: Weights) -> float:
    """The largest difference, as a share of the largest of its tensor."""
    return max(
        ((these[name] - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)).item()
        for name, wanted in those.items()
    )


def main() -> None:
    split = load_dataset("digits", Path("unused")).train
    cases = [(name, double) for name in CONFIGS for double in (True, False)]
    with join_processes("cpu") as processes:
        many = {case: trained(CONFIGS[case[0]], split, processes, case[1]) for case in cases}
        processes.leave()
    if processes.rank > 0:
        return
    print(
        f"| network | precision | {processes.world_size} processes | first weights × (1 + 1e-7) |"
    )
    print("| --- | --- | --- | --- |")
    for name, double in cases:
        one = trained(CONFIGS[name], split, ALONE, double)
        changed = trained(CONFIGS[name], split, ALONE, double, 1 + 1e-7)
        found = apart(many[name, double], one)
        precision = "float64" if double else "float32"
        print(f"| {name} | {precision} | {found:.0e} | {apart(changed, one):.0e} |", flush=True)


if __name__ == "__main__":
    main()
