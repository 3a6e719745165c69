"""The precision of a training: settled when it begins, for all of its processes."""

from dataclasses import replace

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.models.precision import bfloat16_problem, resolve_device, resolve_precision
from circlemnist.process import place
from circlemnist.runs.run import Run
from circlemnist.training.processes import ALONE, Processes


def settled(config: Config, begun: Run | None = None, processes: Processes = ALONE) -> Config:
    """Return the settings with float32 or bfloat16 in the place of `precision` auto.

    By auto it is bfloat16 where every machine takes it: the first process of each answers for it.

    Args:
        begun: the run that is continued, which stays as it began; None for a new one.
        processes: that train together.

    Raises:
        SettingError: the device is not there, or has no bfloat16 that is asked for.
        UserError: the run was begun in bfloat16, and the device has none.
    """
    device = resolve_device(config.device)

    def own() -> str:
        if begun is not None and config.precision == "auto" and device.type == "cpu":
            return "float32"  # of a run from before `auto` was settled, when no CPU took another
        if place().local_rank > 0 and config.precision != "float32":
            return "bfloat16"
        if (
            begun is not None
            and config.precision == "bfloat16"
            and (problem := bfloat16_problem(device))
        ):
            raise UserError(
                f"{begun.name} trains in bfloat16: {problem}; go on with it where it began, or "
                f'write precision = "float32" into {begun.config_file}'
            )
        return resolve_precision(config.precision, device)

    exact = processes.largest(int(processes.each(own) == "float32"))
    return replace(config, precision="float32" if exact else "bfloat16")
