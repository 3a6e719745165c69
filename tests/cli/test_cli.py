"""The command line: flags, files, tables, errors of one line."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from circlemnist import __version__
from circlemnist.cli.main import main
from circlemnist.cli.messages import spelled
from circlemnist.cli.tables import _metric_tables, report_table
from circlemnist.config import Config
from circlemnist.data.datasets import load_dataset
from circlemnist.evaluation.group import Group
from circlemnist.evaluation.metric_names import METRICS, OF_UNSEEN
from circlemnist.plots.kinds import KINDS
from circlemnist.runs.run import Run, create_run
from circlemnist.training.run import Interrupted, Training
from tests.conftest import ROOT, assert_one_line_error, invoke

pytestmark = pytest.mark.usefixtures("own_folder", "no_network")
TINY = ("--dataset", "digits", "--net", "tiny", "--epochs", 1)
DRAW = ("--projection", "pca", "--width", 300)


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


def test_classes_are_kept_in_order() -> None:
    for given in ("8, 0,3", "3+8+0"):
        result = invoke("train", "--unseen", given, "--dry-run")
        assert tomllib.loads(result.stdout)["unseen"] == "0,3,8"


def test_every_setting_has_a_flag_and_every_flag_has_help() -> None:
    flags = {param.name for param in main.commands["train"].params}
    assert set(Config.__dataclass_fields__) <= flags
    for command in main.commands.values():
        for param in command.params:
            assert not isinstance(param, click.Option) or param.help, param


def test_help_and_recipes_import_nothing_that_is_slow() -> None:
    code = (
        "import sys, click.testing, circlemnist.cli.main as c\n"
        "run = click.testing.CliRunner().invoke\n"
        "quick = [['--help'], *([name, '--help'] for name in c.main.commands), ['recipes'], "
        "['train', '--dry-run', '--config', 'plane']]\n"
        "print([run(c.main, args).exit_code for args in quick], "
        "{'torch', 'numpy', 'matplotlib'}.isdisjoint(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout == f"{[0] * (len(main.commands) + 3)} True\n", ended.stderr


def test_help_of_plot_lists_every_kind() -> None:
    lines = [line.strip() for line in invoke("plot", "--help").output.splitlines()]
    for name, kind in KINDS.items():
        assert f"{name:<15}{spelled(kind.shows)}" in lines


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("eval", "data sets [default: the one the run was trained with]"),
        ("plot", "--theme [light|dark] colours [default: light]"),
        ("plot", "--projection [tsne|umap|pca] method"),
        ("train", "--loss LOSS"),  # too many to be listed beside it
        ("train", "--augment / --no-augment"),
        ("predict", "[RUN] FILE..."),
        (
            "sweep",
            "--jobs INTEGER RANGE number of trainings at once, which share the cores [default: 1",
        ),
    ],
)
def test_help_says_what_is_chosen_from_and_what_is_taken(command: str, said: str) -> None:
    assert said in " ".join(invoke(command, "--help").output.split())


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
    assert Path(config["data_dir"]).is_absolute()  # found from any folder
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
    assert "\r" not in result.stdout
    assert lines[2] == "digits, 360 test images, by cosine, run mine"
    run = tmp_path / "outputs" / "mine"
    assert lines[-3:] == [f"run: {run}", f"pictures: {run / 'plots'}", "next: circlemnist plot"]
    assert result.stderr == ""


def test_next_command_names_a_run_in_another_folder(tmp_path: Path) -> None:
    Path("loop").symlink_to("loop")  # digits need no folder of data
    result = invoke("train", *TINY, "--quiet", "--outputs", "my runs", "--data-dir", "loop")
    command = result.stdout.splitlines()[-1]
    assert command.startswith(f"next: circlemnist plot '{tmp_path}/my runs/")
    assert "epoch" not in result.stdout


@pytest.mark.slow
def test_auto_says_which_images_it_uses() -> None:
    result = invoke("train", "--net", "tiny", "--epochs", 1, "--name", "mine")
    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1
    assert "digits instead" in result.stderr
    assert "digits, 360 test images" in result.stdout
    assert 'dataset = "digits"' in Path("outputs/mine/config.toml").read_text()


def test_tables_fit_a_terminal_of_80_columns() -> None:
    """Of a run with unseen classes, and of groups with long names."""
    report = SimpleNamespace(
        metrics=dict.fromkeys(METRICS, 1), dataset="mnist", similarity="cosine"
    )
    report.counted, report.run = "10,000 test images", Run(Path("a"))
    seeds = {seed: dict.fromkeys(METRICS, 1.0) for seed in (0, 1)}
    groups = [Group("n" * 40, {"name": m}, seeds, [report]) for m in range(3)]
    text = "\n".join([report_table(report), *_metric_tables(groups)])
    assert all(key in text for key in METRICS)
    assert max(map(len, text.splitlines())) <= 80


def test_eval_prints_every_measure_and_keeps_them(finished_run: Path) -> None:
    kept = json.loads((finished_run / "eval.json").read_text())
    table = invoke("eval", finished_run)
    assert table.exit_code == 0, table.output
    names = [name for name in METRICS if name not in OF_UNSEEN]
    assert [line.split()[0] for line in table.stdout.splitlines()[1:]] == names
    machine = json.loads(invoke("eval", "--outputs", finished_run.parent, "--json").stdout)
    assert machine == kept
    assert (machine["run"], machine["dataset"]) == ("small", "digits")
    assert set(machine["metrics"]) == set(names)
    assert all(-1 <= value <= 1 for value in machine["metrics"].values())
    assert f"{machine['metrics']['1nn']:.2%}".replace("%", " %") in table.stdout


def test_eval_tells_seen_and_unseen_apart(unseen_run: Path) -> None:
    report = json.loads((unseen_run / "eval.json").read_text())
    metrics = report["metrics"]
    assert report["unseen"] == [0, 3, 8]
    assert {"unseen/map@r", "unseen/tar@far=1e-04", "few-shot/unseen"} < set(metrics)
    table = invoke("eval", unseen_run).stdout
    first, *rows = table.splitlines()
    assert first.startswith("digits, 255 test images of seen classes, by cosine, run ")
    shown = {row.split()[0]: row.split()[1] for row in rows}
    assert set(shown) == set(metrics)
    for name, value in metrics.items():
        wanted = f"{value:.4f}" if "mean_s" in name else f"{100 * value:.2f}"
        assert shown[name] == wanted


def test_plot_evaluates_the_newest_run_and_tells_where_the_picture_is(
    finished_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "outputs" / "copy")
    (run / "embeddings.npz").unlink()
    before = (run / "plots" / "embedding.png").read_bytes()
    result = invoke("plot", *DRAW)
    assert result.exit_code == 0, result.output
    picture = run / "plots" / "embedding-pca.png"  # beside that of another projection
    assert result.stdout.strip() == f"picture: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (run / "embeddings.npz").exists()
    assert (run / "plots" / "embedding.png").read_bytes() == before


def test_plot_names_what_it_shows_and_where_no_window_can_show_it(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "deep" / "picture.SVG"
    result = invoke("plot", finished_run, "--out", out, "--projection", "pca", "--show")
    assert result.exit_code == 0, result.output
    assert f"open {out} yourself" in result.stderr
    text = out.read_text("utf-8")
    accuracy = json.loads((finished_run / "eval.json").read_text())["metrics"]["1nn"]
    assert "scikit-learn digits, 360 test images" in text
    assert "PCA of 64-D" in text
    assert f"gamma 40, m 0.028, 3 epochs, 1-NN {100 * accuracy:.2f} %" in text


def test_eval_that_cannot_keep_its_gallery_says_so_and_keeps_no_measures(
    finished_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "copy")
    for name in ("gallery.npz", "eval.json"):
        (run / name).unlink()
    (run / "gallery.npz").mkdir()
    assert_one_line_error(invoke("eval", run), f"cannot write {run / 'gallery.npz'}")
    assert not (run / "eval.json").exists()


def test_held_out_images_are_measured_and_named(tmp_path: Path) -> None:
    trained = invoke("train", *TINY, "--holdout", 200, "--name", "held")
    assert "digits, 200 validation images" in trained.stdout
    assert json.loads(Path("outputs/held/eval.json").read_text())["images"] == "validation"
    out = tmp_path / "a.svg"
    assert invoke("plot", "held", "--projection", "pca", "--out", out).exit_code == 0
    assert "200 validation images" in out.read_text("utf-8")


def test_finished_run_can_be_resumed_to_its_table(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "outputs" / "small")
    (run / "eval.json").unlink()
    result = invoke("train", "--resume", "small")
    assert result.exit_code == 0, result.output
    assert (run / "eval.json").read_text() == (finished_run / "eval.json").read_text()
    # a resumed run need not be the newest: the next command names it
    assert result.stdout.splitlines()[-1] == "next: circlemnist plot small"


def test_no_picture_is_drawn_where_another_cannot_be(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "copy")
    (run / "history.csv").unlink()
    kinds = ("--kind", "confusion", "--kind", "history")
    assert_one_line_error(invoke("plot", run, *kinds), "no epoch")
    assert [path.name for path in (run / "plots").iterdir()] == ["embedding.png"]


@pytest.mark.parametrize("problem", ["[enforce fail] can't allocate memory", "std::bad_alloc"])
def test_lack_of_memory_is_one_line(
    problem: str, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise RuntimeError(problem)

    monkeypatch.setattr("circlemnist.evaluation.evaluate.load_dataset", load)
    assert_one_line_error(invoke("eval", finished_run), "not enough memory")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "circlemnist.evaluation.evaluate", None)
    result = invoke("eval", finished_run)  # another error is not hidden
    assert isinstance(result.exception, ModuleNotFoundError)


def test_settings_and_jobs_are_spelled_as_flags_and_commands() -> None:
    assert spelled("raise `batch_size` above 4") == "raise --batch-size above 4"
    assert spelled("with `resume` mine, in `outputs`") == "with --resume mine, in --outputs"
    assert spelled("run `eval /a b/c` again") == "run `circlemnist eval /a b/c` again"
    assert spelled("first, with `train`") == "first, with `circlemnist train`"
    assert spelled("`a b` and gamma") == "`a b` and gamma"


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


@pytest.mark.parametrize(
    ("settings", "old", "new"),
    [
        ({"scheduler": "onecycle"}, "epochs = 1", "epochs = 2"),
        ({"scheduler": "cosine"}, "epochs = 1", "epochs = 2"),
        ({"scheduler": "cosine"}, 'scheduler = "cosine"', 'scheduler = "onecycle"'),
        ({"scheduler": "none"}, "lr = 0.0233", "lr = 0.5"),
        ({"scheduler": "multistep"}, "weight_decay = 0.00232", "weight_decay = 0.1"),
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
    training = Training(config, load_dataset("digits", Path()), torch.device("cpu"), print)
    run = create_run(tmp_path / "outputs", "run", training.config, {})
    training.state.save(run)
    content = run.config_file.read_text()
    assert old in content
    run.config_file.write_text(content.replace(old, new))
    words = ("last.pt", "does not fit config.toml")
    assert_one_line_error(invoke("train", "--resume", "run"), *words)
    if "loss" in settings or "unseen" in settings:
        assert_one_line_error(invoke("eval", "run"), *words)
