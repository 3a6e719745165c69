"""The processes that train a run together, by torch.distributed; one of them is the plain case.

All take the same steps on the same batches, each with its own share of the images. What the first
one does alone, writing above all, the others wait for, and an error of one is an error of all.
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
from circlemnist.models.precision import resolve_device
from circlemnist.process import ignore_signals, place

Result = TypeVar("Result")

# for a process that downloads or writes; one that has gone is noticed at once
LIMIT = timedelta(minutes=30)
# that of the device last; what is said beside its work goes by gloo, for which no GPU has to wait
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


@dataclass(frozen=True)
class Processes:
    """The processes that train together, as one of them sees them; by default it is alone.

    Every process calls every method, in the same order.

    Attributes:
        rank: of this process; the first has 0.
        world: number of processes.
        backend: that carries tensors of the device between them.
        store: that carries a few words between them, and outlives any of them.
    """

    rank: int = 0
    world: int = 1
    backend: str = ""
    store: Store | None = None

    def own(self, batch: Tensor) -> Tensor:
        """Return the share of this process of a global batch (B, ...): rows that lie together."""
        return batch if self.world == 1 else batch.tensor_split(self.world)[self.rank]

    def mean_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Give each parameter that has a gradient the mean of those of all processes."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def largest(self, value: int) -> int:
        """Return the largest of the values of the processes."""
        if self.world == 1:
            return value
        with self.heard():
            most = torch.tensor(value)
            dist.all_reduce(most, dist.ReduceOp.MAX)
        return int(most)

    def each(self, work: Callable[[], Result]) -> Result:
        """Do `work` in each process, and return what it returns in this one.

        Raises:
            UserError: it raised that in one of them: the first of those, in all.
        """
        if self.world == 1:
            return work()
        result, errors = _tried(work)
        with self.heard():
            every: list[list[UserError]] = [[] for _ in range(self.world)]
            dist.all_gather_object(every, errors)
        for error in chain(*every):
            raise error
        return result[0]

    def first(self, work: Callable[[], Result]) -> Result:
        """Do `work` in the first process, while the others wait, and return in all what it returns.

        Raises:
            UserError: it raised that.
        """
        if self.world == 1:
            return work()
        result: list[Any] = [self.each(work if self.rank == 0 else lambda: None)]
        with self.heard():
            dist.broadcast_object_list(result, 0)
        return result[0]  # type: ignore[no-any-return]

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Say of whatever fails within because another process has gone that it is `Lost`."""
        try:
            yield
        except RuntimeError as error:
            if self.store is None or not (
                isinstance(error, dist.DistError) or "gloo" in str(error)
            ):
                raise
            speaks = _first_to_notice(self.store)
            if speaks:
                ignore_signals()  # a launcher ends all processes, perhaps ahead of the last word
            raise Lost("another process of this training has ended", speaks) from error

    def part(self) -> None:
        """End what is common, once every process has come so far; each goes on alone."""
        if self.world > 1 and dist.is_initialized():
            with self.heard():
                dist.barrier()
            dist.destroy_process_group()


ALONE = Processes()


@contextmanager
def together(device: str) -> Iterator[Processes]:
    """Meet the processes that a launcher has started with this one, if there are any.

    Args:
        device: "auto", "cpu", "cuda" or "mps"; of several GPUs each process of a machine takes one.

    Raises:
        SettingError: the device is not there, or not for as many processes.
        UserError: the others cannot be met.
    """
    own = place()
    if own.world == 1:
        yield ALONE
        return
    kind = resolve_device(device).type
    if kind not in BACKENDS:
        raise SettingError("device", f"{kind}: trains in one process alone; use `device` cpu")
    if kind == "cuda":
        if own.local_world > (count := torch.cuda.device_count()):
            raise SettingError(
                "device",
                f"cuda: {own.local_world} processes want a GPU each, and this machine has {count}; "
                "start fewer, or use `device` cpu",
            )
        torch.cuda.set_device(own.local_rank)
    try:
        store, rank, world = next(rendezvous("env://", timeout=LIMIT))
        meeting = PrefixStore("circlemnist", store)
        dist.init_process_group(
            BACKENDS[kind], store=meeting, rank=rank, world_size=world, timeout=LIMIT
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot meet the other processes: {reason}") from error
    try:
        yield Processes(rank, world, BACKENDS[kind].rpartition(":")[2], store)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _tried(work: Callable[[], Result]) -> tuple[list[Result], list[UserError]]:
    """What it returned, or the error that it raised."""
    try:
        return [work()], []
    except UserError as error:
        return [], [error]


def _first_to_notice(store: Store) -> bool:
    try:
        return bool(store.add("noticed a loss", 1) == 1)
    except RuntimeError:
        return True  # whoever kept the store has gone
