"""What pictures of a run say of it."""

from circlemnist.data.classes import DISPLAY_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun


def heading(trained: EvaluatedRun, shown: str, how: str = "") -> str:
    """Return two lines: the data set and what is shown of it; how, and the facts.

    The facts are the settings that matter, and how good the embedding is.
    """
    config, evaluation = trained.config, trained.report
    share = f"1-NN {100 * evaluation.metrics['1nn']:.2f} %"
    if evaluation.unseen:
        share += f", unseen recall@1 {100 * evaluation.metrics['unseen/recall@1']:.2f} %"
    return (
        f"{DISPLAY_NAMES[evaluation.dataset]}, {shown}\n"
        f"{how}{config.described}, {trained_for(trained)}, {share}"
    )


def trained_for(trained: EvaluatedRun) -> str:
    """Return how long a run has trained, in words."""
    epochs = len(trained.history)
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def snapshot_captions(trained: EvaluatedRun) -> list[str]:
    """Return the time of each snapshot, in words."""
    return [
        "before training" if step == 0 else f"epoch {step / trained.steps_an_epoch:.2f}"
        for step in trained.snapshots.steps.tolist()
    ]
