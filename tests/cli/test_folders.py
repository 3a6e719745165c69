"""A folder of pictures through every command: the names of its folders stand where digits would."""

import json
import re
from multiprocessing import Pipe
from pathlib import Path

import pytest

from circlemnist.evaluation.export import facts
from circlemnist.process import StopSignals
from circlemnist.runs.run import Run
from circlemnist.sweep.worker import Worker
from tests.conftest import assert_one_line_error, invoke
from tests.data.test_folders import write

NAMES = ["cat", "dog", "eel", "$_$", "<!--<script>", *(f"bird {number}" for number in range(9))]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on 14 classes of ten pictures, of which cat and dog are unseen."""
    folder = write(tmp_path_factory.mktemp("own") / "animals", dict.fromkeys(NAMES, 10))
    flags = ("--net", "tiny", "--epochs", 2, "--precision", "float32", "--quiet")
    places = ("--data-dir", folder.parent / "data", "--outputs", folder.parent / "outputs")
    result = invoke("train", "--dataset", folder, "--unseen", "cat,dog", *flags, *places)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("animals, 24 test images of seen classes")
    (made,) = (folder.parent / "outputs").iterdir()
    return Run(made)


def test_settings_of_a_run_name_its_classes_and_it_is_evaluated_as_it_was(run: Run) -> None:
    config = run.config()
    assert config.class_names == tuple(sorted(NAMES))
    assert config.unseen == "cat,dog"
    assert run.name.endswith("_unseencat-dog")
    assert config.batch_size == 48  # half of the training pictures of seen classes
    before = run.metrics_file.read_bytes()
    result = invoke("eval", run.folder)
    assert result.exit_code == 0, result.output
    assert "unseen/recall@1" in result.output
    assert run.metrics_file.read_bytes() == before


def test_names_are_predicted_and_exported_and_explored(run: Run) -> None:
    picture = Path(run.config().dataset) / "eel" / "0.png"
    result = invoke("predict", run.folder, picture, "--json")
    (row,) = json.loads(result.stdout)["images"]
    assert row["name"] == run.config().class_names[row["label"]]
    odd = Path(run.config().dataset) / "$_$"  # a wrong formula
    drawn = invoke("predict", run.folder, odd, "--out", run.folder / "seen.png")
    assert drawn.exit_code == 0, drawn.output
    assert "$_$  votes" in drawn.output
    about = facts(run.name, run.config(), None, "uint8")
    assert json.loads(about["classes"]) == sorted(NAMES)
    assert about["dataset"] == "animals"
    assert str(run.folder.parent.parent) not in json.dumps(about)
    kinds = [word for kind in ("embedding", "confusion", "neighbors") for word in ("--kind", kind)]
    assert invoke("plot", run.folder, *kinds, "--projection", "pca").exit_code == 0
    result = invoke("explore", run.folder, "--projection", "pca")
    assert result.exit_code == 0, result.output
    page = (run.plots / "explorer.html").read_text("utf-8")
    (content,) = re.findall(r'id="facts">(.*?)</script>', page)
    assert "<" not in content  # a name may not end the script, nor begin a comment
    shown = [f"{name}, unseen" if name in ("cat", "dog") else name for name in sorted(NAMES)]
    assert json.loads(content)["names"] == shown


def test_run_is_not_evaluated_on_other_pictures_nor_resumed(run: Run) -> None:
    picture = Path(run.config().dataset) / "eel" / "9.png"
    content = picture.read_bytes()
    picture.write_bytes((picture.parent / "8.png").read_bytes())
    try:
        for arguments in (["eval", run.folder], ["train", "--resume", run.folder]):
            assert_one_line_error(invoke(*arguments), "have changed since", "circlemnist train")
        answer = Worker(Pipe()[0], StopSignals()).answer(run.config(), run.folder)
        assert answer.kind == "error"
        assert "have changed since" in answer.words
    finally:
        picture.write_bytes(content)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--dataset letters", "a folder is ./letters"),
        ("--dataset ./nowhere", "cannot read"),
        ("--prepare", "has no effect with --dataset auto"),
        ("--dataset {folder} --unseen cat,dgo", "did you mean 'dog'"),
        ("--dataset {folder} --classes cat,cow", "no class 'cow', which --classes names"),
        ("--dataset {folder} --classes cat,dog,eel --unseen 0,1", "such as cat,eel"),
        ("--dataset {folder} --holdout 20", "--holdout"),
    ],
)
def test_what_does_not_fit_a_folder_is_one_line(flags: str, says: str, run: Run) -> None:
    words = flags.format(folder=run.config().dataset).split()
    assert_one_line_error(invoke("train", *words, "--outputs", run.folder / "none"), says)
    assert not (run.folder / "none").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--dataset {folder} --vary m=0,0.1", "--holdout must be 0 with so few images"),
        (
            "--dataset {folder} --vary m=0,0.1 --unseen cat,dog --holdout 0 "
            "--metric few-shot/unseen",
            "--metric few-shot/unseen takes 20 images of each class",
        ),
        (
            "--vary dataset=digits,{folder} --holdout 0 --turned mirrored --batch-size 2000",
            "--batch-size must be ≤ 896",
        ),
    ],
)
def test_what_a_sweep_cannot_do_with_a_small_folder_is_one_line(
    flags: str, says: str, run: Run, tmp_path: Path
) -> None:
    words = flags.format(folder=run.config().dataset).split()
    places = ("--outputs", tmp_path, "--data-dir", run.folder.parent.parent / "data")
    assert_one_line_error(invoke("sweep", *words, *places), says)
