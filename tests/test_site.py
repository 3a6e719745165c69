"""The documentation site: what is missing or broken in it does not pass."""

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import circlemnist.losses
from tests.conftest import ROOT

BUILD = "python -m sphinx -W --keep-going -n"
# what each of them is called when the site is built
BROKEN = {
    "[a page](none.md)": "'none.md'",
    "[a heading](circle-loss.md#none)": "'none'",
    "[a file](../configs/none.toml)": "'../configs/none.toml'",
    "![a picture](pictures/none.png)": "pictures/none.png",
    "[of the top](../README.md#none)": "'none'",
}
# said at the end of the configuration, after which the package is read
FAULTS = """
from circlemnist import CircleLoss
from circlemnist.cli.train import train

CircleLoss.forward.__doc__ = None
circlemnist.losses.__all__.append("unheard_of")
train.help = "Train."
"""
SAID = [
    "the method circlemnist.CircleLoss.forward has no docstring",
    "unheard_of is public, and on no page",
    "the help of `circlemnist train` has no examples",
    "alone.md: WARNING: document isn't included in any toctree",
]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A copy of docs/ with what it takes in from beside it."""
    for path in [*ROOT.glob("*.md"), ROOT / "CITATION.cff", ROOT / "LICENSE"]:
        shutil.copy(path, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path / "docs"


@pytest.mark.slow
def test_every_fault_is_named_and_ends_the_build(docs: Path) -> None:
    with (docs / "losses.md").open("a", encoding="utf-8") as page:
        page.write("\n\n" + "\n\n".join(BROKEN))
    with (docs / "conf.py").open("a", encoding="utf-8") as settings:
        settings.write(FAULTS)
    (docs / "alone.md").write_text("# A page that no other names\n", "utf-8")
    arguments = [*BUILD.split()[1:], "-q", str(docs), str(docs.parent / "site" / "html")]
    built = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT)
    warnings = [line for line in built.stderr.splitlines() if "WARNING" in line]
    assert built.returncode != 0
    assert not built.stderr.count("Traceback")
    for fault, named in BROKEN.items():
        assert any("losses.md" in line and named in line for line in warnings), (fault, warnings)
    for fault in SAID:
        assert any(fault in line for line in warnings), (fault, warnings)
    assert len(warnings) == len(BROKEN) + len(SAID), warnings
    explainers = {page.name for page in (docs.parent / "site" / "html").glob("*-explained*.html")}
    assert explainers == {"circle-loss-explained.html", "circle-loss-explained.ja.html"}


def test_ci_and_contributors_build_it_alike() -> None:
    assert f'"$bin/python"{BUILD.removeprefix("python")} -q docs "$folder/site/html"' in (
        ROOT / ".ci" / "run"
    ).read_text("utf-8")
    assert f".venv/bin/{BUILD} docs site/html" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    ignored = (ROOT / ".gitignore").read_text("utf-8")
    assert re.search(r"^/site/$", ignored, re.MULTILINE)


@pytest.mark.parametrize("name", sorted({*circlemnist.__all__, *circlemnist.losses.__all__}))
def test_docstring_of_a_public_name_has_shapes_and_errors(name: str) -> None:
    module = circlemnist.losses if name in circlemnist.losses.__all__ else circlemnist
    public = getattr(module, name)
    if not callable(public):
        return
    if isinstance(public, type) and issubclass(public, tuple):  # a result, which raises nothing
        assert public.__doc__
        return
    loss = isinstance(public, type) and issubclass(public, nn.Module)
    for described in (public, public.forward) if loss else (public,):
        text = inspect.cleandoc(described.__doc__)
        assert "\nRaises:\n" in text
        for parameter in inspect.signature(described).parameters.values():
            if "Tensor" in str(parameter.annotation):
                assert re.search(rf"^    {parameter.name}: \(\w", text, re.MULTILINE), parameter
