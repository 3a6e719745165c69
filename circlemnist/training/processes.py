"""The processes that train a run together, by torch.distributed, or a single process.

All take the same steps on the same batches, each with its own share of the images. Rank 0 alone
writes, while the others wait. An error in one process is raised in all.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from circlemnist.errors import Lost, SettingError, UserError
from circlemnist.process import ignore_signals, torchrun_ranks

Result = TypeVar("Result")

# for a process that downloads or writes; the end of a process is noticed at once
TIMEOUT = timedelta(minutes=30)
# objects go by gloo, for which no GPU has to wait; the backend of the device comes last
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


@dataclass(frozen=True)
class Processes:
    """The processes that train together, seen from this one; by default there is only this one.

    Every process calls every method, in the same order.

    Attributes:
        backend: of tensors on the device.
        store: torch's key-value store, which outlives any of the processes.
    """

    rank: int = 0
    world_size: int = 1
    backend: str = ""
    store: Store | None = None

    def share(self, batch: Tensor) -> Tensor:
        """Return the rows of a global batch (B, ...) that this process trains on."""
        return batch.tensor_split(self.world_size)[self.rank]

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its mean over the processes."""
        if self.world_size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.world_size
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def maximum(self, value: int) -> int:
        """Return the largest of the values of the processes."""
        if self.world_size == 1:
            return value
        with self.detect_lost_process():
            largest = torch.tensor(value)
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def common_precision(self, precision: str) -> str:
        """Return "bfloat16" where that is the precision of every process, else "float32"."""
        return "float32" if self.maximum(int(precision == "float32")) else "bfloat16"

    def run_on_all(self, work: Callable[[], Result]) -> Result:
        """Call `work` in all processes; return its result in this one.

        A UserError in one of them is raised in all.
        """
        if self.world_size == 1:
            return work()
        result: list[Result] = []
        errors: list[UserError] = []
        try:
            result.append(work())
        except UserError as error:
            errors.append(error)
        with self.detect_lost_process():
            errors_by_rank: list[list[UserError]] = [[] for _ in range(self.world_size)]
            dist.all_gather_object(errors_by_rank, errors)
        for first_error in chain(*errors_by_rank):
            raise first_error
        return result[0]

    def run_on_rank_zero(self, work: Callable[[], Result]) -> Result:
        """Call `work` in rank 0 while the others wait; return its result, or raise, in all."""
        if self.world_size == 1:
            return work()
        result: list[Any] = [self.run_on_all(work if self.rank == 0 else lambda: None)]
        with self.detect_lost_process():
            dist.broadcast_object_list(result, 0)
        return result[0]  # type: ignore[no-any-return]

    @contextmanager
    def detect_lost_process(self) -> Iterator[None]:
        """Raise `Lost` for an error within that comes from the end of another process."""
        try:
            yield
        except RuntimeError as error:
            from_others = isinstance(error, dist.DistError) or "gloo" in str(error)
            if self.store is None or not from_others:
                raise
            try:
                speaks = bool(self.store.add("noticed a loss", 1) == 1)  # the first to notice
            except RuntimeError:
                speaks = True  # the process that kept the store has ended
            if speaks:
                ignore_signals()  # a launcher ends all processes, perhaps before the message
            raise Lost("another process of this training has ended", speaks) from error

    def leave(self) -> None:
        """Wait for all processes, then let each continue alone."""
        if self.world_size > 1 and dist.is_initialized():
            with self.detect_lost_process():
                dist.barrier()
            dist.destroy_process_group()


ALONE = Processes()


@contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """Connect to the processes that a launcher has started with this one, if there are any.

    Args:
        device: to compute on; each process of a machine takes a GPU of its own.

    Raises:
        SettingError: the device is not there for so many processes.
        UserError: the others cannot be reached.
    """
    kind = device.type
    ranks = torchrun_ranks()
    if ranks.world_size == 1:
        yield ALONE
        return
    if kind not in BACKENDS:
        raise SettingError("device", f"{kind}: trains in one process alone; use `device` cpu")
    if kind == "cuda":
        if ranks.local_world_size > (count := torch.cuda.device_count()):
            raise SettingError(
                "device",
                f"cuda: {ranks.local_world_size} processes want a GPU each, and this machine has "
                f"{count}; start fewer, or use `device` cpu",
            )
        torch.cuda.set_device(ranks.local_rank)
    try:
        store, rank, world_size = next(rendezvous("env://", timeout=TIMEOUT))
        prefixed = PrefixStore("circlemnist", store)
        dist.init_process_group(
            BACKENDS[kind], store=prefixed, rank=rank, world_size=world_size, timeout=TIMEOUT
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot meet the other processes: {reason}") from error
    try:
        yield Processes(rank, world_size, BACKENDS[kind].rpartition(":")[2], store)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
