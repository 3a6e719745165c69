"""Nonsense for every flag, key and file: exit code 0, 1 or 2, one line of error, no traceback."""

import shutil
from dataclasses import fields
from pathlib import Path
from random import Random
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from circlemnist.cli.options import flag
from circlemnist.config import Config
from tests.conftest import assert_one_line_error, invoke, time_limit

QUICK = ("--dataset", "digits", "--net", "tiny", "--epochs", 1, "--batch-size", 700)
SETTINGS = [setting.name for setting in fields(Config)]
ODD = [
    *("", " ", "-", "--", "0", "-1", "1e400", "-1e400", "nan", "inf", "1e-400", "9" * 400, "²"),
    *("٣", "true", "None", "[]", "a\nb", "a\0b", "\udcff", "%s", "{}", "../..", "x" * 300, "😀"),
    "∞",
]
# a path is looked for, or made, in the test's own folder
TEXTS = st.text(max_size=30).filter(lambda text: not text.startswith(("/", "~")))
VALUES = st.one_of(
    st.sampled_from(ODD), TEXTS, st.integers().map(str), st.floats(width=64).map(str)
)
KEYS = st.one_of(st.sampled_from(SETTINGS), st.text(max_size=10))
TOML = st.recursive(
    st.one_of(
        st.text(max_size=10),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.booleans(),
        st.dates(),
        st.sampled_from(["mnist", "anchor", "none"]),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=3,
)
CASE_SECONDS = 60  # a sluggish machine needs 1
OWN_FOLDER = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


pytestmark = pytest.mark.usefixtures("own_folder")


def check(*args: object) -> None:
    """Accept success, or failure in one line, within the time limit."""
    with time_limit(CASE_SECONDS):
        result = invoke(*args)
    if result.exit_code != 0:
        assert_one_line_error(result)


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=25, suppress_health_check=OWN_FOLDER)
@given(value=VALUES)
def test_any_value_of_a_flag(name: str, value: str) -> None:
    check("train", "--dry-run", f"{flag(name)}={value}")


@settings(max_examples=30, suppress_health_check=OWN_FOLDER)
@given(name=st.sampled_from([n for n in SETTINGS if n not in ("epochs", "dataset")]), value=VALUES)
def test_any_value_of_a_flag_where_it_trains(name: str, value: str) -> None:
    """What passes as a value must also train, or end in one line."""
    check("train", *QUICK, f"{flag(name)}={value}")


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=OWN_FOLDER)
@given(name=st.sampled_from(["--name", "--outputs", "--config", "--resume"]), value=VALUES)
def test_any_name_of_a_run_or_folder(name: str, value: str) -> None:
    check("train", *QUICK, f"{name}={value}")


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=OWN_FOLDER)
@given(
    option=st.sampled_from(["RUN", "--outputs=", "--data-dir=", "--device=", "--out="]),
    value=VALUES,
)
def test_any_argument_of_plot_and_eval(option: str, value: str, finished_run: Path) -> None:
    """`--out` with a suffix that can be drawn is a picture; anything else one line."""
    args = ["--", value] if option == "RUN" else [f"{option}{value}", "--", finished_run]
    check("plot", "--projection", "pca", *args)
    if option != "--out=":
        check("eval", *args)


@settings(max_examples=200, suppress_health_check=OWN_FOLDER)
@given(content=st.dictionaries(KEYS, TOML, max_size=3))
def test_any_key_and_value_of_a_config_file(content: dict[str, Any]) -> None:
    path = Path("settings.toml")
    path.write_text(tomli_w.dumps(content), "utf-8", errors="surrogatepass")
    check("train", "--dry-run", "--config", path)


@settings(max_examples=100, suppress_health_check=OWN_FOLDER)
@given(content=st.binary(max_size=100))
def test_any_bytes_as_a_config_file(content: bytes) -> None:
    Path("settings.toml").write_bytes(content)
    check("train", "--dry-run", "--config", "settings.toml")


FILES = ("config.toml", "history.csv", "eval.json", "embeddings.npz", "gallery.npz", "last.pt")
# what each command reads of a run
COMMANDS = {
    "train --resume": ("config.toml", "last.pt"),
    "eval": ("config.toml", "last.pt"),
    "plot --projection pca --width 200 --kind all": ("config.toml", *FILES[2:4]),
    "explore": ("config.toml", *FILES[2:4]),
    "explain": ("config.toml", *FILES[2:4]),
    "predict": ("config.toml", "eval.json", "gallery.npz", "last.pt"),
    "export --format torch": ("config.toml", "last.pt"),
    "export --format projector": ("config.toml", *FILES[2:4]),
    "compare --kind none": ("config.toml", *FILES[2:4]),
}


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def damaged(content: bytes, random: Random) -> bytes:
    """Nothing, a part, other bytes, or a file that is cut off."""
    place = random.randrange(len(content))
    return random.choice(
        [b"", content[:place], content[place:], b"{}", b"[]", random.randbytes(len(content))]
    )


@pytest.mark.parametrize("count", [len(FILES), pytest.param(200, marks=pytest.mark.soak)])
def test_damaged_runs_are_named_by_every_command(count: int, finished_run: Path) -> None:
    """In a line; what was whole stays as it was."""
    random, picture = Random(count), Path("digit.png")
    Image.new("L", (28, 28)).save(picture)
    for number in range(count):
        file = FILES[number % len(FILES)]
        run = Path(f"damaged{number}")
        shutil.copytree(finished_run, run)
        (run / file).write_bytes(damaged((run / file).read_bytes(), random))
        before = contents(run)
        for command, files in COMMANDS.items():
            if file in files:
                more = {"predict": picture, "compare": finished_run}.get(command.split()[0])
                args = (*command.split(), run, *([more] if more else []))
                with time_limit(CASE_SECONDS):
                    result = invoke(*args)
                assert_one_line_error(result, run.name)
                assert contents(run) == before, (command, file)
        shutil.rmtree(run)
