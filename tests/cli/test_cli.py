"""The command line: flags, files, tables, errors of one line."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from circlemnist import __version__
from circlemnist.cli.main import main
from circlemnist.cli.messages import spelled
from circlemnist.config import Config
from circlemnist.data.datasets import load_dataset
from circlemnist.evaluation.metric_names import METRICS, OF_UNSEEN
from circlemnist.plots.kinds import KINDS
from circlemnist.runs.new_run import create_run
from circlemnist.runs.run import Run
from circlemnist.training.run import Interrupted, Training
from tests.conftest import ROOT, assert_one_line_error, invoke

TINY = ("--dataset", "digits", "--net", "tiny")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None) -> None:
    monkeypatch.chdir(tmp_path)


def dry_run(*args: object) -> dict[str, object]:
    result = invoke("train", "--dry-run", *args)
    assert result.exit_code == 0, result.output
    return tomllib.loads(result.stdout)


def test_flags_beat_the_file_and_the_file_beats_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("gamma = 64\nm = 0.4\naugment = false\n")
    settings = dry_run("--config", file, "--gamma", 32)
    assert settings["gamma"] == 32
    assert settings["m"] == 0.4
    assert settings["augment"] is False
    assert settings["lr"] == Config().lr
    assert dry_run("--config", file, "--augment")["augment"] is True


def test_dry_run_is_a_file_that_repeats_the_run(tmp_path: Path) -> None:
    printed = invoke("train", "--dry-run", "--gamma", 12, "--epochs", 3, "--no-augment").stdout
    (tmp_path / "again.toml").write_text(printed)
    assert invoke("train", "--dry-run", "--config", "again.toml").stdout == printed
    assert list(tmp_path.iterdir()) == [tmp_path / "again.toml"]


def test_every_setting_has_a_flag() -> None:
    flags = {param.name for param in main.commands["train"].params}
    assert set(Config.__dataclass_fields__) <= flags


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    command = main.commands[name]
    text = invoke(name, "--help").output
    assert f"circlemnist {name}" in text
    assert "Example" in text
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param


@pytest.mark.parametrize("command", [[], *([name] for name in sorted(main.commands))])
def test_help_imports_nothing_that_is_slow(command: list[str]) -> None:
    code = (
        "import sys, click.testing, circlemnist.cli.main as c; "
        f"result = click.testing.CliRunner().invoke(c.main, {[*command, '--help']}); "
        "sys.exit(result.exit_code or not {'torch', 'numpy', 'matplotlib'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_help_of_plot_lists_every_kind() -> None:
    lines = [line.strip() for line in invoke("plot", "--help").output.splitlines()]
    for name, kind in KINDS.items():
        assert f"{name:<15}{spelled(kind.shows)}" in lines


def test_version() -> None:
    assert __version__ in invoke("--version").output


def test_run_folder_holds_what_is_promised(finished_run: Path) -> None:
    names = {path.name for path in finished_run.iterdir()}
    assert names == {
        "config.toml",
        "environment.json",
        "history.csv",
        "last.pt",
        "lock",
        "eval.json",
        "embeddings.npz",
        "gallery.npz",
        "plots",
    }
    assert (finished_run / "plots" / "embedding.png").exists()
    config = tomllib.loads((finished_run / "config.toml").read_text())
    assert (config["dataset"], config["epochs"]) == ("digits", 3)
    environment = json.loads((finished_run / "environment.json").read_text())
    assert environment["circlemnist"] == __version__
    assert environment["seed"] == 0
    assert len(environment["dataset_sha256"]) == 64
    arrays = np.load(finished_run / "embeddings.npz", allow_pickle=False)
    assert arrays["embeddings"].shape == (360, 64)
    assert arrays["labels"].shape == arrays["indices"].shape == (360,)


def test_training_prints_lines_a_table_and_the_next_command(tmp_path: Path) -> None:
    result = invoke("train", *TINY, "--epochs", 2, "--name", "mine")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["epoch 1/2", "epoch 2/2"]
    assert lines[2] == "digits, 360 test images, by cosine, run mine"
    run = tmp_path / "outputs" / "mine"
    assert lines[-3:] == [f"run: {run}", f"pictures: {run / 'plots'}", "next: circlemnist plot"]
    assert result.stderr == ""


def test_next_command_names_a_run_in_another_folder(tmp_path: Path) -> None:
    result = invoke("train", *TINY, "--epochs", 1, "--quiet", "--outputs", "my runs")
    command = result.stdout.splitlines()[-1]
    assert command.startswith(f"next: circlemnist plot '{tmp_path}/my runs/")
    assert "epoch" not in result.stdout


def test_auto_says_which_images_it_uses() -> None:
    result = invoke("train", "--net", "tiny", "--epochs", 1, "--name", "mine")
    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1
    assert "digits instead" in result.stderr
    assert "digits, 360 test images" in result.stdout
    assert 'dataset = "digits"' in Path("outputs/mine/config.toml").read_text()


def test_eval_prints_every_measure_and_keeps_them(finished_run: Path) -> None:
    kept = json.loads((finished_run / "eval.json").read_text())
    table = invoke("eval", finished_run)
    assert table.exit_code == 0, table.output
    names = [name for name in METRICS if name not in OF_UNSEEN]
    assert [line.split()[0] for line in table.stdout.splitlines()[1:]] == names
    machine = json.loads(invoke("eval", finished_run, "--json").stdout)
    assert machine == kept
    assert (machine["run"], machine["dataset"]) == ("small", "digits")
    assert set(machine["metrics"]) == set(names)
    assert all(-1 <= value <= 1 for value in machine["metrics"].values())
    assert f"{machine['metrics']['1nn']:.2%}".replace("%", " %") in table.stdout


def test_newest_run_is_the_default(finished_run: Path) -> None:
    result = invoke("eval", "--outputs", finished_run.parent, "--json")
    assert json.loads(result.stdout)["run"] == "small"


def test_plot_tells_where_the_picture_is(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "copy")
    result = invoke("plot", run, "--projection", "pca")
    assert result.exit_code == 0, result.output
    picture = run / "plots" / "embedding.png"
    assert result.stdout.strip() == f"picture: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plot_names_what_it_shows(finished_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "picture.svg"
    assert invoke("plot", finished_run, "--out", out, "--projection", "pca").exit_code == 0
    text = out.read_text("utf-8")
    accuracy = json.loads((finished_run / "eval.json").read_text())["metrics"]["1nn"]
    assert "scikit-learn digits, 360 test images" in text
    assert "PCA of 64-D" in text
    assert f"gamma 80, m 0.25, 3 epochs, 1-NN {100 * accuracy:.2f} %" in text


def test_eval_that_cannot_keep_its_gallery_says_so_and_keeps_no_measures(
    finished_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "copy")
    for name in ("gallery.npz", "eval.json"):
        (run / name).unlink()
    (run / "gallery.npz").mkdir()
    assert_one_line_error(invoke("eval", run), f"cannot write {run / 'gallery.npz'}")
    assert not (run / "eval.json").exists()


def test_plot_evaluates_a_run_that_has_no_embeddings(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "copy")
    (run / "embeddings.npz").unlink()
    assert invoke("plot", run, "--projection", "pca").exit_code == 0
    assert (run / "embeddings.npz").exists()


def test_show_without_a_window_says_so(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "a.png"
    result = invoke("plot", finished_run, "--out", out, "--projection", "pca", "--show")
    assert result.exit_code == 0, result.output
    assert "open" in result.stderr
    assert out.exists()


def test_held_out_images_are_measured_and_named(tmp_path: Path) -> None:
    args = ("train", *TINY, "--epochs", 1, "--holdout", 200, "--name", "held")
    assert "digits, 200 held-out training images" in invoke(*args).stdout
    assert json.loads(invoke("eval", "held", "--json").stdout)["images"] == "held-out training"
    out = tmp_path / "a.svg"
    assert invoke("plot", "held", "--projection", "pca", "--out", out).exit_code == 0
    assert "200 held-out training images" in out.read_text("utf-8")


def test_finished_run_can_be_resumed_to_its_table(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "outputs" / "small")
    (run / "eval.json").unlink()
    result = invoke("train", "--resume", "small")
    assert result.exit_code == 0, result.output
    assert (run / "eval.json").read_text() == (finished_run / "eval.json").read_text()
    # a resumed run need not be the newest: the next command names it
    assert result.stdout.splitlines()[-1] == "next: circlemnist plot small"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--gamma", "0"], ["--gamma must be > 0"]),
        (["--gamma", "nan"], ["--gamma", "nan"]),
        (["--gamma", "high"], ["--gamma", "'high'"]),
        (["--m", "1"], ["--m must be > -1 and < 1, not 1.0"]),
        (["--m", "-1.5"], ["--m"]),
        (["--batch-size", "1"], ["--batch-size must be ≥ 2"]),
        (["--dataset", "digits", "--batch-size", "5000"], ["--batch-size must be ≤ 1437"]),
        (
            ["--dataset", "digits", "--holdout", "1437"],
            ["--holdout must be 0, or from 100 to 1337"],
        ),
        (["--dataset", "cifar"], ["--dataset", "'cifar'", "kmnist"]),
        (["--dataset", "mnist"], ["cannot download", "another --data-dir", "--dataset digits"]),
        (["--pairs", "all"], ["--pairs", "anchor, batch"]),
        (["--epochs", "0"], ["--epochs must be ≥ 1"]),
        (["--device", "cuda"], ["--device cuda", "--device auto"]),
        (["--colour", "red"], ["--colour", "circlemnist train --help"]),
        (["--config", "missing.toml"], ["missing.toml"]),
        (["--resume", "nothing"], ["no run 'nothing'"]),
        (["--dataset", "digits", "--name", "a/b"], ["--name"]),
        (["--dataset", "digits", "--outputs", "a-file"], ["a-file"]),
        (["--dataset", "digits", "--outputs", "a-file/runs"], ["a-file", "--outputs"]),
        (["--dataset", "mnist", "--data-dir", "a-file"], ["a-file", "--data-dir"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_input_ends_in_one_line_and_leaves_nothing(
    args: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "a-file").write_text("")
    assert_one_line_error(invoke("train", *args), *words)
    assert not list(tmp_path.glob("outputs/*"))


@pytest.mark.parametrize(
    ("idle", "beside", "words"),
    [
        (["--elastic", "0.5"], ["--no-augment"], "--elastic has no effect where --augment is off"),
        (["--plain-share", "0"], ["--no-augment"], "--plain-share has no effect"),
        (["--pairs", "batch"], ["--loss", "circle-class"], "--pairs has no effect where --loss is"),
        (["--pairs", "anchor"], ["--loss", "triplet"], "--pairs has no effect"),
        (["--no-last-norm"], ["--net", "article"], "--last-norm has no effect where --net is"),
    ],
    ids=" ".join,
)
def test_flag_that_changes_nothing_is_refused_when_typed(
    idle: list[str], beside: list[str], words: str, tmp_path: Path
) -> None:
    assert_one_line_error(invoke("train", "--dry-run", *idle, *beside), words)
    assert invoke("train", "--dry-run", *idle).exit_code == 0
    assert invoke("train", "--dry-run", *beside).exit_code == 0
    (tmp_path / "both.toml").write_text(invoke("train", "--dry-run", *beside).stdout)
    assert invoke("train", "--dry-run", "--config", "both.toml").exit_code == 0


@pytest.mark.parametrize("command", ["eval", "plot"])
def test_no_run_yet_says_what_to_do(command: str, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    assert_one_line_error(invoke(command), "no runs in outputs", "circlemnist train")
    assert_one_line_error(invoke(command, "mine"), "no run 'mine'")


def test_wrong_config_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('gamma = "80"\n')
    assert_one_line_error(invoke("train", "--config", "bad.toml"), "bad.toml", "gamma", "'80'")
    (tmp_path / "bad.toml").write_text("gama = 80\n")
    assert_one_line_error(invoke("train", "--config", "bad.toml"), "'gama'", "'gamma'")


def test_resume_takes_no_other_settings(finished_run: Path) -> None:
    result = invoke("train", "--resume", finished_run, "--lr", 1)
    assert_one_line_error(result, "--lr cannot be given with --resume")


@pytest.mark.parametrize("file", ["last.pt", "config.toml", "embeddings.npz", "eval.json"])
def test_damaged_file_of_a_run_is_named(file: str, finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "copy")
    (run / file).write_bytes(b"\x00 damaged \xff")
    command = "eval" if file == "last.pt" else "plot"
    assert_one_line_error(invoke(command, run), file)


def test_checkpoint_of_other_settings_is_one_line(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "other")
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace("dim = 64", "dim = 32"))
    assert_one_line_error(invoke("eval", run), "last.pt", "config.toml")
    assert_one_line_error(invoke("train", "--resume", run), "last.pt", "config.toml")


@pytest.mark.parametrize("content", ["", "[]", '{"metrics": 3}', '{"metrics": {}}'])
def test_evaluation_of_a_wrong_shape_is_one_line(
    content: str, finished_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "other")
    (run / "eval.json").write_text(content)
    assert_one_line_error(invoke("plot", run), "eval.json", "circlemnist eval")


def test_run_finds_its_data_from_any_folder(finished_run: Path) -> None:
    assert Path(tomllib.loads((finished_run / "config.toml").read_text())["data_dir"]).is_absolute()


def test_suffix_of_a_picture_may_be_in_capitals(finished_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "picture.PNG"
    assert invoke("plot", finished_run, "--projection", "pca", "--out", out).exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_picture_of_an_unknown_format_is_refused_at_once(finished_run: Path) -> None:
    assert_one_line_error(invoke("plot", finished_run, "--out", "a.gif"), "a.gif", ".png")


def test_errors_of_the_group_are_one_line_too() -> None:
    assert_one_line_error(CliRunner().invoke(main, ["trian"]), "trian", "circlemnist --help")


def test_what_continues_a_stopped_training_has_its_flags(
    monkeypatch: pytest.MonkeyPatch, finished_run: Path
) -> None:
    def stop(*_: object) -> None:
        raise Interrupted(Run(finished_run), 130)

    monkeypatch.setattr("circlemnist.training.run.train", stop)

    def continued(*args: object) -> str:
        result = invoke("train", *args)
        assert result.exit_code == 130
        return result.stderr.strip().partition("continue with: ")[2]

    again = f"circlemnist train --resume {finished_run}"
    assert continued("--data-dir", "elsewhere", "--device", "cpu") == again
    resumed = ("--resume", finished_run, "--data-dir", "else where", "--tensorboard")
    assert continued(*resumed) == f"{again} --tensorboard --data-dir 'else where'"


def test_recipe_is_found_beside_a_folder_of_its_name(tmp_path: Path) -> None:
    Path("fast").mkdir()
    result = invoke("train", "--config", "fast", "--dry-run")
    assert 'net = "tiny"' in result.stdout
    assert_one_line_error(invoke("train", "--config", "./fast"), "fast", "is a directory")


@pytest.mark.parametrize(
    ("settings", "old", "new"),
    [
        ({"scheduler": "onecycle"}, "epochs = 1", "epochs = 2"),
        ({"scheduler": "cosine"}, "epochs = 1", "epochs = 2"),
        ({"scheduler": "cosine"}, 'scheduler = "cosine"', 'scheduler = "onecycle"'),
        ({"scheduler": "none"}, "lr = 0.08", "lr = 0.5"),
        ({"scheduler": "multistep"}, "weight_decay = 0.001", "weight_decay = 0.1"),
        ({"loss": "cosface"}, '"cosface"', '"arcface"'),
        ({"unseen": "1,4"}, '"1,4"', '"1,5"'),
    ],
    ids=lambda value: " ".join(value),
)
def test_settings_that_do_not_fit_the_checkpoint_are_refused(
    settings: dict[str, Any], old: str, new: str, tmp_path: Path
) -> None:
    """They were changed after the training began."""
    config = Config(dataset="digits", net="tiny", epochs=1, **settings)
    training = Training(config, load_dataset("digits", Path()), print)
    run = create_run(tmp_path / "outputs", "run", training.config, {})
    training.state.save(run)
    content = run.config_file.read_text()
    assert old in content
    run.config_file.write_text(content.replace(old, new))
    words = ("last.pt", "does not fit config.toml")
    assert_one_line_error(invoke("train", "--resume", "run"), *words)
    if "loss" in settings or "unseen" in settings:
        assert_one_line_error(invoke("eval", "run"), *words)


def test_data_folder_that_cannot_be_is_one_line() -> None:
    long = invoke("train", "--data-dir", "a" * 300, "--dataset", "mnist", "--quiet")
    assert_one_line_error(long, "File name too long; choose another --data-dir")
    Path("loop").symlink_to("loop")
    loop = invoke("train", "--data-dir", "loop", "--dataset", "mnist", "--quiet")
    assert_one_line_error(loop, "loop", "choose another --data-dir")
    args = ("--dataset", "digits", "--net", "tiny", "--epochs", 1, "--quiet")  # which needs none
    assert invoke("train", *args, "--data-dir", "loop").exit_code == 0
