"""Real processes that work together over gloo.

They are forked from a server that has imported once what takes long: what the first of them needed.
"""

import json
import multiprocessing
import os
import traceback
from datetime import timedelta

import torch
import torch.distributed as dist

LIMIT = timedelta(minutes=2)  # after which processes that wait for one another give up


def run(work, world, folder):
    """What `work(rank, world)` returns in each of `world` processes, which know one another.

    It is a function of a module, works in `folder`, and returns what JSON holds.

    Raises:
        RuntimeError: with the traceback of the first process that failed.
    """
    context = multiprocessing.get_context("forkserver")
    # an optimizer imports the last of these, too
    context.set_forkserver_preload([work.__module__, "circlemnist.losses.library", "torch._dynamo"])
    ranks = range(world)
    started = [context.Process(target=_work, args=(work, rank, world, folder)) for rank in ranks]
    for process in started:
        process.start()
    for process in started:
        process.join()
    failures = [path.read_text() for path in sorted(folder.glob("*.failure"))]
    if failures or any(process.exitcode != 0 for process in started):
        raise RuntimeError("\n".join(failures) or "a process was killed")
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in ranks]


def _work(work, rank, world, folder):
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
