"""`circlemnist.train`: what the command does, asked for in Python."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import circlemnist
from circlemnist import api
from circlemnist.config import Config
from circlemnist.errors import SettingError, UserError
from circlemnist.process import Stopped
from circlemnist.runs.run import Run
from circlemnist.training.run import Interrupted
from tests.conftest import ROOT, invoke, set_ranks
from tests.process import ONE_THREAD, fingerprint, wait_for

TINY: dict[str, Any] = {"dataset": "digits", "net": "tiny", "epochs": 1}


def test_run_is_that_of_the_command_and_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here: dict[str, Any] = {"outputs": tmp_path, "data_dir": Path("data")}
    run = circlemnist.train(m=0.1, name="here", tensorboard=True, **here, **TINY)
    assert capsys.readouterr().out.startswith("epoch 1/1  loss ")
    flags = [f"--{name}={value}" for name, value in TINY.items()]
    invoke("train", "--m", 0.1, "--name", "there", "--outputs", tmp_path, *flags)
    assert fingerprint(tmp_path / "here") == fingerprint(tmp_path / "there")
    assert run.run.folder == (tmp_path / "here").resolve()
    assert list(run.run.tensorboard.glob("events.*"))
    assert run.metrics == json.loads((tmp_path / "here" / "eval.json").read_text())["metrics"]
    assert run.predict(run.gallery_images[:2])[0].of == 20
    capsys.readouterr()
    again = circlemnist.train(resume="here", outputs=tmp_path, device="cpu", quiet=True)
    assert again.metrics == run.metrics
    assert capsys.readouterr() == ("", "")


def resolved(monkeypatch: pytest.MonkeyPatch, **given: Any) -> dict[str, Any]:
    """The settings that a training is started with."""
    seen: list[Any] = []

    def keep(config: Any, *_: Any) -> None:
        seen.append(config)
        raise Stopped(2)

    monkeypatch.setattr(api, "train_run", keep)
    with pytest.raises(KeyboardInterrupt):
        circlemnist.train(**given)
    return dict(vars(seen[0]))


def test_recipe_gives_way_to_what_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plane = resolved(monkeypatch, config="plane", epochs=2)
    assert (plane["dim"], plane["epochs"], plane["loss"]) == (2, 2, "circle-class")
    (tmp_path / "mine.toml").write_text("gamma = 7.0\nm = 0.1\nlr = 0.5\ndim = 8\n")
    mine = resolved(monkeypatch, config=tmp_path / "mine.toml")
    assert (mine["gamma"], mine["m"], mine["lr"], mine["dim"]) == (7, 0.1, 0.5, 8)
    other = resolved(monkeypatch, config=tmp_path / "mine.toml", loss="arcface", m=0.3)
    arcface = Config(loss="arcface")
    expected = (arcface.gamma, 0.3, arcface.lr, 8)
    assert (other["gamma"], other["m"], other["lr"], other["dim"]) == expected


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"gama": 80}, TypeError, "no setting 'gama'; did you mean 'gamma'?"),
        ({"gamma": -1}, SettingError, "`gamma` must be > 0"),
        ({"augment": False, "elastic": 0.5}, SettingError, "`elastic` has no effect"),
        ({"config": "plan"}, UserError, "did you mean 'plane'?"),
        ({"resume": "none"}, UserError, "no run 'none'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    given: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error) as refused:
        circlemnist.train(outputs=tmp_path / "outputs", **given)
    assert words in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [{"m": 0.4}, {"name": "other"}, {"config": "fast"}])
def test_run_that_is_continued_keeps_its_settings(
    given: dict[str, Any], finished_run: Path
) -> None:
    (name,) = given
    with pytest.raises(SettingError, match=f"`{name}` cannot be given with `resume`"):
        circlemnist.train(resume=finished_run, **given)


def test_processes_of_torchrun_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    set_ranks(monkeypatch, 1)
    with pytest.raises(UserError, match="one process"):
        circlemnist.train(**TINY)


def test_stop_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, finished_run: Path) -> None:
    def stop(*_: Any) -> None:
        raise Interrupted(Run(finished_run), 130)

    monkeypatch.setattr(api, "train_run", stop)
    with pytest.raises(KeyboardInterrupt) as stopped:
        circlemnist.train()
    _, _, call = str(stopped.value).partition("; continue with ")
    monkeypatch.undo()
    assert eval(call, {"circlemnist": circlemnist}).run.folder == finished_run.resolve()
    monkeypatch.setattr(api, "train_run", stop)
    with pytest.raises(KeyboardInterrupt) as stopped:
        circlemnist.train(resume=finished_run, tensorboard=True, device="cpu")
    call = f"circlemnist.train(resume={str(finished_run)!r}, tensorboard=True, device='cpu')"
    assert str(stopped.value).endswith(f"; continue with {call}")


@pytest.mark.slow
def test_ctrl_c_keeps_the_steps_and_the_run_goes_on(tmp_path: Path) -> None:
    code = "import circlemnist; circlemnist.train(dataset='digits', net='tiny', epochs=20)"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(process, "epoch 2/20")
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1].splitlines()[-1]
    assert said.startswith("KeyboardInterrupt: stopped; ")
    call = said.partition("continue with ")[2]
    run = eval(call.replace(")", ", quiet=True)"), {"circlemnist": circlemnist})
    assert len(run.run.history()) == 20


def test_neither_notebooks_nor_torchvision_are_loaded_where_they_are_not_needed() -> None:
    code = (
        "import sys, circlemnist.data.datasets, circlemnist.training.progress; sys.exit(not "
        "{'IPython', 'ipywidgets', 'tqdm.notebook', 'torchvision'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
