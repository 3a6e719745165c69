"""The training loop: one epoch reads from top to bottom."""

import time

import torch
from torch import Tensor

from circlemnist.config import Config
from circlemnist.data.batches import balanced_batches, batches, random_affine
from circlemnist.data.datasets import Split
from circlemnist.losses import gathered_statistics
from circlemnist.process import Stopped, StopSignals
from circlemnist.runs.run import Run
from circlemnist.training.diagnosis import diagnose
from circlemnist.training.progress import Progress
from circlemnist.training.state import Diverged, EpochCursor, TrainState

CHECK_SELDOM = 50  # steps between two checks for a loss that is not finite, which wait for a GPU


def fit(
    state: TrainState, config: Config, split: Split, run: Run, progress: Progress, stop: StopSignals
) -> None:
    """Train to the last epoch, with a checkpoint and a row of history after each.

    Args:
        config: resolved for a data set.
        split: the training images, on the device to train on.

    Raises:
        Diverged: the loss is no longer finite.
        Stopped: a signal has come; the checkpoint is that of the last step.
    """
    assert config.epochs is not None
    reported: set[str] = set()
    try:
        while len(state.history) < config.epochs:
            values = train_epoch(state, config, split, progress, stop)
            state.save(run)
            progress.epoch(state.history[-1])
            for kind, line in diagnose(state.history, values, config):
                if kind not in reported:
                    progress.note(line)
                reported.add(kind)
            stop.check()
    except Stopped:
        state.save(run)
        raise
    except Diverged as error:
        checkpoint = "it has no checkpoint yet"
        if run.checkpoint_file.exists():
            checkpoint = f"{run.checkpoint_file} is the last good checkpoint"
        number = len(state.history) + (state.cursor is not None)
        raise Diverged(
            f"{error} in epoch {number} ({config.loss_and_values}, lr {state.lr:g}): lower `lr`"
            f"{' or `gamma`' if 'gamma' in config.hyperparameters else ''}; {checkpoint}"
        ) from error


def train_epoch(
    state: TrainState, config: Config, split: Split, progress: Progress, stop: StopSignals
) -> Tensor:
    """Train the next epoch, or the rest of the one begun, and add its row to the history.

    With `augment` its images are augmented, except in the last `plain_share` of all steps.

    Returns (steps, 4) float32: loss, mean s_p, mean s_n and violating of each step. When `Stopped`
    is raised, the steps done are in `state.cursor`.
    """
    device = split.labels.device
    cursor = state.cursor = state.cursor or first_step(config, split, state.generator)
    order, cursor.values = cursor.order.to(device), cursor.values.to(device)
    number, started = len(state.history) + 1, time.perf_counter() - cursor.seconds
    check_every = 1 if device.type == "cpu" else CHECK_SELDOM
    first_plain_step = round((1 - config.plain_share) * state.total_steps)
    state.embedder.train()
    if state.recorder is not None and state.step == 0:
        state.recorder.record(0, state.embedder)
    for indices in order[cursor.step :]:
        images = split.images[indices, None].float() / 255
        if config.augment and state.step < first_plain_step:
            # every process augments the global batch, which is little work: so the random numbers
            # are those of a single process
            images = random_affine(images, state.generator, config.elastic)
        images = state.processes.share(images)
        labels = state.processes.share(split.labels[indices])
        loss, embeddings = train_step(state, images, labels)
        statistics = gathered_statistics(embeddings, labels, config.circle_m)
        cursor.values[cursor.step] = torch.stack([loss, *statistics])
        cursor.step, cursor.seconds = cursor.step + 1, time.perf_counter() - started
        done = cursor.step == len(order)
        if done or cursor.step % check_every == 0:
            wrong = ~cursor.values[: cursor.step, 0].isfinite()
            if wrong.any():
                raise Diverged(f"the loss is not finite at step {int(wrong.nonzero()[0]) + 1}")
        if state.recorder is not None:
            state.recorder.record(state.step, state.embedder)
        progress.step(number, cursor.step, cursor.values[cursor.step - 1], state.lr)
        if not done:
            stop.check()
    state.finish_epoch()
    return cursor.values


def train_step(state: TrainState, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Take a step of SGD and of its schedule, together with the other processes.

    Args:
        images: (B, 1, 28, 28) float in 0-1, the share of this process.

    Returns:
        The loss () of the global batch, and the embeddings (B, D) of this share before the step.
    """
    stages = state.forward(images)
    loss: Tensor = state.objective(stages, labels)
    state.optimizer.zero_grad()
    loss.backward()
    state.processes.average_gradients(state.parameters())
    state.optimizer.step()
    state.lr = float(state.scheduler.get_last_lr()[0])
    state.scheduler.step()
    state.step += 1
    return loss.detach(), stages[-1].detach()


def first_step(config: Config, split: Split, generator: torch.Generator) -> EpochCursor:
    """Return the beginning of an epoch, with its batches drawn."""
    if config.classes_per_batch:
        labels = split.labels.cpu()
        order = balanced_batches(labels, config.classes_per_batch, config.batch_size, generator)
    else:
        order = batches(len(split), config.batch_size, generator)
    return EpochCursor(order, torch.zeros(len(order), 4))
