"""Wrong flags of `train`: one line that names the mend, before anything is written."""

from pathlib import Path

import pytest

from tests.conftest import assert_one_line_error, invoke

pytestmark = pytest.mark.usefixtures("own_folder", "no_network")
REFUSED: list[tuple[str, *tuple[str, ...]]] = [
    ("--gamma 0", "--gamma must be > 0"),
    ("--gamma nan", "--gamma", "nan"),
    ("--gamma high", "--gamma", "'high'"),
    ("--m 1", "--m must be > -1 and < 1, not 1.0"),
    ("--batch-size 1", "--batch-size must be ≥ 2"),
    ("--dataset digits --batch-size 5000", "--batch-size must be ≤ 1437"),
    ("--dataset digits --holdout 1437", "--holdout must be 0, or from 100 to 1337"),
    ("--dataset cifar", "--dataset", "'cifar'", "kmnist"),
    ("--pairs all", "--pairs", "anchor, batch"),
    ("--epochs 0", "--epochs must be ≥ 1"),
    ("--images 900 --epochs 3", "--images", "--epochs"),
    ("--device cuda", "--device cuda", "--device auto"),
    ("--colour red", "--colour", "circlemnist train --help"),
    ("--resume nothing", "no run 'nothing'"),
    # files and folders
    ("--config missing.toml", "missing.toml"),
    ("--config ./a-folder", "a-folder", "is a directory"),
    ("--config wrong.toml", "wrong.toml", "gamma", "'80'"),
    ("--dataset digits --name a/b", "--name"),
    ("--dataset digits --outputs a-file", "a-file"),
    ("--dataset digits --outputs a-file/runs", "a-file", "--outputs"),
    ("--dataset mnist --data-dir a-file", "a-file", "--data-dir"),
    ("--dataset mnist --data-dir a-loop", "a-loop", "choose another --data-dir"),
    (f"--dataset mnist --data-dir {'a' * 300}", "name too long; choose another --data-dir"),
    # what the loss does not have
    ("--loss arcfce", "--loss", "did you mean 'arcface'?"),
    ("--loss triplet --gamma 3", "--loss triplet has no --gamma, only --m"),
    ("--loss softmax --m 0.1", "--loss softmax has no --m, only --gamma"),
    ("--loss adacos --gamma 1", "--loss adacos has no --gamma"),
    ("--loss sphereface --m 1.5", "--m", "whole number", "sphereface"),
    ("--loss sphereface --m nan", "--m", "sphereface"),
    ("--loss triplet --batch-size 501", "--batch-size", "≤ 500", "triplet"),
    ("--loss arcface --m -0.5", "--m", "arcface"),
    # flags that change nothing
    ("--elastic 0.5 --no-augment", "--elastic has no effect with --no-augment"),
    ("--plain-share 0 --no-augment", "--plain-share has no effect with --no-augment"),
    ("--pairs batch --loss circle-class", "--pairs has no effect with --loss circle-class"),
    ("--pairs anchor --loss triplet", "--pairs has no effect with --loss triplet"),
    ("--no-last-norm --net article", "--last-norm has no effect with --net article"),
    ("--loss triplet --class-weights fixed", "--class-weights has no effect"),
    # unseen classes
    ("--unseen 10", "--unseen", "from 0 to 9", "'10'"),
    ("--unseen 0,x", "--unseen", "from 0 to 9", "'x'"),
    ("--unseen 4,0,4", "--unseen", "the class 4 twice"),
    ("--unseen 4", "--unseen", "two classes or more, to tell apart", "4 alone"),
    ("--unseen 0,1,2,3,4,5,6,7,8", "--unseen", "must leave two classes or more, and leaves 1"),
    ("--unseen=", "--unseen", "must not be empty"),
    (
        "--dataset digits --unseen 0,1,2,3 --classes-per-batch 10",
        "--classes-per-batch must be ≤ 6",
        "not 10",
    ),
    (
        "--dataset digits --holdout 1337 --batch-size 10 --unseen 1,2",
        "--unseen",
        "20 images or more",
        "and 4 has 8",
    ),
]


@pytest.mark.parametrize(("args", "words"), [(args, words) for args, *words in REFUSED])
def test_wrong_input_ends_in_one_line_and_leaves_nothing(
    args: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    Path("a-file").touch()
    Path("a-folder").mkdir()
    Path("a-loop").symlink_to("a-loop")
    Path("wrong.toml").write_text('gamma = "80"\n')
    assert_one_line_error(invoke("train", *args.split()), *words)
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    "beside",
    ["--gamma 12", "--no-augment", "--loss circle-class", "--loss triplet"],
)
def test_setting_that_changes_nothing_is_taken_from_a_file(beside: str) -> None:
    """A file of all settings repeats the run."""
    Path("all.toml").write_text(invoke("train", "--dry-run", *beside.split()).stdout)
    again = invoke("train", "--dry-run", "--config", "all.toml")
    assert (again.exit_code, again.stdout) == (0, Path("all.toml").read_text())
    assert [path.name for path in Path().iterdir()] == ["all.toml"]


@pytest.mark.parametrize(
    "args", ["--lr 1", "--epochs 9", "--loss triplet", "--unseen 1", "--name other"]
)
def test_resume_takes_no_other_settings(args: str, finished_run: Path) -> None:
    result = invoke("train", "--resume", finished_run, *args.split())
    mend = f"train a new run, --config {finished_run / 'config.toml'}" if "epochs" in args else ""
    assert_one_line_error(result, f"{args.split()[0]} cannot be given with --resume", mend)


@pytest.mark.parametrize(
    ("args", "near"),
    [
        ("plot --kind cirle", "circle"),
        ("plot --projection umapp", "umap"),
        ("compare a b --kind embeding", "embedding"),
        ("compare a b --theme drak", "dark"),
    ],
)
def test_nearest_choice_is_named(args: str, near: str) -> None:
    assert_one_line_error(invoke(*args.split()), f"did you mean {near!r}?")
