"""The training loop: one epoch reads from top to bottom."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from circlemnist.config import Config
from circlemnist.data.augment import random_affine
from circlemnist.data.datasets import Split, balanced_batches, batches
from circlemnist.errors import UserError
from circlemnist.losses import pair_statistics
from circlemnist.runs.history import Epoch, write_history
from circlemnist.runs.run import Run
from circlemnist.training.diagnosis import diagnose
from circlemnist.training.progress import Progress
from circlemnist.training.signals import Stopped, StopSignals
from circlemnist.training.state import Diverged, Part, Training

# Steps from one look for a loss that is not finite to the next: looking waits for a GPU.
LOOK_EVERY = {"cpu": 1}
LOOK_SELDOM = 50


def fit(
    training: Training,
    config: Config,
    split: Split,
    run: Run,
    progress: Progress,
    stop: StopSignals,
) -> None:
    """Train to the last epoch, with a checkpoint and a row of history after each.

    Args:
        training: what to train, new or restored from a checkpoint.
        config: resolved for a data set.
        split: the training images, on the device to train on.
        run: where the checkpoint and the history go.
        progress: told of every step and every epoch, and of what `diagnosis` finds.
        stop: asked after every step.

    Raises:
        UserError: the loss is no longer finite, or the run's folder cannot be written.
        Stopped: a signal has come; the checkpoint is that of the last step.
    """
    write_history(run.history_file, training.history)
    with _explained(training, config, run):
        assert config.epochs is not None
        said: set[str] = set()
        try:
            for number in range(len(training.history) + 1, config.epochs + 1):
                values = train_epoch(training, config, split, number, progress, stop)
                training.save(run)
                progress.epoch(training.history[-1])
                for kind, line in diagnose(training.history, values, config):
                    if kind not in said:
                        progress.note(line)
                    said.add(kind)
                stop.check()
        except Stopped:
            training.save(run)
            raise


@contextmanager
def _explained(training: Training, config: Config, run: Run) -> Iterator[None]:
    """Say of a training that diverges where it did, what to lower, and what is kept."""
    try:
        yield
    except Diverged as error:
        kept = "it has no checkpoint yet"
        if run.checkpoint_file.exists():
            kept = f"{run.checkpoint_file} is the last good checkpoint"
        number = len(training.history) + (training.part is not None)
        raise UserError(
            f"{error} in epoch {number} (gamma {config.gamma:g}, m {config.m:g}, lr "
            f"{training.optimizer.param_groups[0]['lr']:g}): lower --lr or --gamma; {kept}"
        ) from error


def train_epoch(
    training: Training,
    config: Config,
    split: Split,
    number: int,
    progress: Progress,
    stop: StopSignals,
) -> Tensor:
    """Train one epoch, the `number`-th, or what is left of it, and add its row to the history.

    Returns:
        (steps, 4) float32: loss, mean s_p, mean s_n and violating of each step.

    Raises:
        Diverged: the loss is no longer finite.
        Stopped: a signal has come; the steps done are in `training.part`.
    """
    device = split.labels.device
    if training.part is None:
        order = _order(config, split, training.generator)
        training.part = Part(order, torch.zeros(len(order), 4, device=device))
    part = training.part
    order, part.values = part.order.to(device), part.values.to(device)
    started = time.perf_counter() - part.seconds
    steps_before = (number - 1) * len(order)
    plain_from = round((1 - config.plain_share) * config.steps(len(split)))
    look_every = LOOK_EVERY.get(device.type, LOOK_SELDOM)
    lr = config.lr
    training.embedder.train()
    if training.recorder is not None and steps_before == part.done == 0:
        training.recorder.look(0, training.embedder)
    for step in range(part.done, len(order)):
        indices = order[step]
        images = split.images[indices, None].float() / 255  # (B, 1, 28, 28)
        if config.augment and steps_before + step < plain_from:
            images = random_affine(images, training.generator, config.elastic)
        *first, embeddings = training.forward(images)  # (B, F) where it is folded, (B, D)
        loss = training.criterion(embeddings, split.labels[indices])
        statistics = pair_statistics(embeddings, split.labels[indices], config.m)
        if first:
            loss = loss + training.shaping(first[0], split.labels[indices])
        part.values[step] = torch.stack([loss.detach(), *statistics])
        if step % look_every == 0 or step + 1 == len(order):
            _check_finite(part.values[: step + 1, 0], embeddings)
        training.optimizer.zero_grad()
        loss.backward()
        training.optimizer.step()
        lr = float(training.scheduler.get_last_lr()[0])
        training.scheduler.step()
        if training.recorder is not None:
            training.recorder.look(steps_before + step + 1, training.embedder)
        part.done, part.seconds = step + 1, time.perf_counter() - started
        if part.done < len(order):
            stop.check()
        progress.step(number, step, part.values[step], lr)
    # a batch may lack positive or negative pairs: their mean is NaN there
    mean_sp, mean_sn, violating = part.values[:, 1:].nanmean(0).tolist()
    mean_loss, seconds = part.values[:, 0].mean().item(), round(part.seconds, 3)
    training.history.append(Epoch(number, mean_loss, mean_sp, mean_sn, violating, lr, seconds))
    training.part = None
    return part.values


def _order(config: Config, split: Split, generator: torch.Generator) -> Tensor:
    """The batches of an epoch, (steps, batch size) int64, as the settings want them."""
    if config.classes_per_batch:
        labels = split.labels.cpu()
        return balanced_batches(labels, config.classes_per_batch, config.batch_size, generator)
    return batches(len(split), config.batch_size, generator)


def _check_finite(losses: Tensor, embeddings: Tensor) -> None:
    """Raise Diverged where one of the losses of an epoch so far is not finite."""
    if losses.isfinite().all():
        return
    step = int((~losses.isfinite()).nonzero()[0]) + 1
    if embeddings.dtype == torch.float16:
        raise Diverged(f"float16 overflowed, train in float32: no finite loss at step {step}")
    raise Diverged(f"the loss is not finite at step {step}")
