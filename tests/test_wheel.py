"""What `python -m build` makes works where it is installed, with no checkout at hand."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from circlemnist import __version__
from tests.conftest import ROOT, invoke
from tests.process import ONE_THREAD

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("dist")
    # the backend is here already; in isolation, another would be downloaded
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh venv with the wheel, which finds its dependencies in ours."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--quiet", wheel], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    # of our folder the packages alone: not what its .pth files name, such as this checkout
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"


def run(program: Path, folder: Path, *args: str) -> str:
    """Return what a program says that ends well, in a folder and an environment of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | ONE_THREAD
    result = subprocess.run(
        [program, *args], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_sdist_and_wheel_hold_the_recipes_and_no_data(built: Path) -> None:
    recipes = {path.name for path in (ROOT / "configs").glob("*.toml")}
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert {Path(name).name for name in names if name.endswith(".toml")} == recipes
    assert {name.split("/")[0] for name in names} == {
        "circlemnist",
        f"circlemnist-{__version__}.dist-info",
    }
    assert {"circlemnist/py.typed", "circlemnist/explorer/page.html"} <= set(names)
    with tarfile.open(sdist) as archive:
        folders = {name.split("/")[1] for name in archive.getnames()}
    assert {"circlemnist", "configs", "tests", "README.md", "LICENSE"} <= folders
    assert folders.isdisjoint({"data", "outputs", ".git", ".venv"})


def test_installed_program_lists_its_recipes_and_trains_one(
    installed: Path, tmp_path: Path
) -> None:
    where = run(installed / "python", tmp_path, "-c", "import circlemnist as c; print(c.__file__)")
    assert Path(where).is_relative_to(installed.parent)
    program = installed / "circlemnist"
    assert run(program, tmp_path, "recipes") == invoke("recipes").stdout
    assert run(program, tmp_path, "--version").split()[-1] == __version__
    fast = ("--config", "fast", "--dataset", "digits", "--images", "1437")
    trained = run(program, tmp_path, "train", *fast)
    assert trained.startswith("epoch 1/1 ")
    assert trained.splitlines()[-1] == "next: circlemnist plot"
    (config,) = tmp_path.glob("outputs/*/config.toml")
    assert 'net = "tiny"' in config.read_text()
