"""A training that is asked for in Python: `circlemnist.train`.

run = circlemnist.train(gamma=80, m=0.25)
run.metrics["1nn"]
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from circlemnist.config import MACHINE_SETTINGS, Config, read_settings, settings_to_drop
from circlemnist.errors import SettingError, UserError
from circlemnist.evaluation.predict import Predictor
from circlemnist.limits import did_you_mean
from circlemnist.process import Stopped, to_stderr, torchrun_ranks
from circlemnist.recipes import settings_file
from circlemnist.runs.run import Run, find_run
from circlemnist.training.progress import mode_for
from circlemnist.training.run import Interrupted
from circlemnist.training.run import train as train_run


def train(
    *,
    config: str | Path | None = None,
    name: str | None = None,
    outputs: str | Path = "outputs",
    resume: str | Path | None = None,
    tensorboard: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Predictor:
    """Train an embedder, evaluate it on the test split, and load it, as `load` does.

    Does what the command of that name does. Progress is a bar in a notebook or a terminal, or
    else a line an epoch.

    Args:
        config: a recipe by its name, or a file of settings; what is given beside it beats it.
        name: of the run; by default the time, the loss, gamma and m, and unseen classes.
        outputs: the folder of runs.
        resume: a run to continue, by its name or folder.
        tensorboard: whether event files are kept in the run, too; needs the package tensorboard.
        quiet: no progress.
        settings: the flags of the command, such as `gamma`, `dataset` or `batch_size`; of a run to
            continue `data_dir` and `device` alone.

    Raises:
        TypeError: there is no such setting.
        SettingError: a setting is out of its limits, or changes nothing beside the others.
        UserError: a file, the data, the device or the folder is not usable, another process trains
            the run, the loss is no longer finite, or a package that is needed is not there.
        KeyboardInterrupt: it was told to stop; every step that it has done is kept, and the message
            says how to go on.
    """
    known = [setting.name for setting in fields(Config)]
    if unknown := [setting for setting in settings if setting not in known]:
        hint = did_you_mean(unknown[0], known)
        raise TypeError(f"train() has no setting {unknown[0]!r}{hint}")
    # absolute, as a path has a separator that a data set by name lacks
    settings = {k: str(v.absolute()) if isinstance(v, Path) else v for k, v in settings.items()}
    if torchrun_ranks().world_size > 1:
        raise UserError("train is the work of one process: start it without torchrun")
    folder = Path(outputs)
    run = None if resume is None else find_run(folder, str(resume))
    if run is None:
        resolved = _new_config(config, settings)
    else:
        named = {k: v for k, v in {"config": config, "name": name}.items() if v is not None}
        resolved = _continued(run, settings | named)
    try:
        run, _ = train_run(resolved, folder, name, run, mode_for(quiet), to_stderr, tensorboard)
    except Interrupted as interrupted:
        arguments = {"resume": str(interrupted.run.folder), "tensorboard": tensorboard or None}
        if resume is not None:  # a new run has them in its settings
            arguments |= settings
        words = [f"{name}={value!r}" for name, value in arguments.items() if value is not None]
        call = f"circlemnist.train({', '.join(words)})"
        raise KeyboardInterrupt(f"{interrupted}; continue with {call}") from None
    except Stopped:
        raise KeyboardInterrupt from None
    return Predictor(run, resolved.device)


def _continued(run: Run, settings: dict[str, Any]) -> Config:
    for name in settings:
        if name not in MACHINE_SETTINGS:
            problem = "cannot be given with `resume`: a run has its own settings"
            raise SettingError(name, problem)
    return replace(run.config(), **settings)


def _new_config(file: str | Path | None, settings: dict[str, Any]) -> Config:
    of_file = {} if file is None else read_settings(settings_file(str(file)))
    dropped = dict.fromkeys(settings_to_drop(of_file, settings))
    config = Config(**{**of_file, **dropped, **settings})
    for name in settings:
        if problem := config.reason_unused(name):
            raise SettingError(name, problem)
    return config
