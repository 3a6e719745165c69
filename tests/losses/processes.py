"""Real processes that work together over gloo.

They are forked from a server that has imported once what takes long: what the first of them needed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

LIMIT = timedelta(minutes=2)  # after which processes that wait for one another give up


def run(work: Callable[[int, int], Any], world: int, folder: Path) -> list[Any]:
    """What `work(rank, world)` returns in each of `world` processes, which know one another.

    It is a function of a module, works in `folder`, and returns what JSON holds.

    Raises:
        RuntimeError: with the traceback of the first process that failed.
    """
    context = multiprocessing.get_context("forkserver")
    # an optimizer imports the last of these, too
    context.set_forkserver_preload([work.__module__, "circlemnist.losses.library", "torch._dynamo"])
    started = [
        context.Process(target=_work, args=(work, rank, world, folder)) for rank in range(world)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    failures = [path.read_text() for path in sorted(folder.glob("*.failure"))]
    if failures or any(process.exitcode != 0 for process in started):
        raise RuntimeError("\n".join(failures) or "a process was killed")
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(world)]


def _work(work: Callable[[int, int], Any], rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.chdir(folder)
    store = dist.FileStore(str(folder / "store"), world)
    try:
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=LIMIT)
        (folder / f"{rank}.json").write_text(json.dumps(work(rank, world)))
        if dist.is_initialized():
            dist.destroy_process_group()
    except BaseException:
        (folder / f"{rank}.failure").write_text(traceback.format_exc())
        raise
