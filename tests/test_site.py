"""The documentation site: what is missing or broken in it does not pass."""

import inspect
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn

import circlemnist.losses
from tests.conftest import ROOT

BUILD = "python -m sphinx -W --keep-going -n"


def test_every_public_name_is_on_the_page_of_the_api() -> None:
    """The site takes docstrings from there; one of another name would not be built."""
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    for name in {*circlemnist.__all__, *circlemnist.losses.__all__} - {"__version__"}:
        assert re.search(rf"^\.\. auto\w+:: circlemnist\.(losses\.)?{name}$", page, re.MULTILINE)


def test_site_has_the_explainer_in_both_languages(tmp_path: Path) -> None:
    html = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=tmp_path)
    runpy.run_path(str(ROOT / "docs" / "conf.py"))["on_built"](html, None)
    names = sorted(page.name for page in tmp_path.iterdir())
    assert names == ["circle-loss-explained.html", "circle-loss-explained.ja.html"]


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
    described = (public, public.forward) if loss else (public,)
    docs = [(part, inspect.cleandoc(part.__doc__)) for part in described]
    assert any("\nRaises:\n" in text for _, text in docs)
    for part, text in docs:
        for parameter in inspect.signature(part).parameters.values():
            if "Tensor" in str(parameter.annotation):
                assert re.search(rf"^    {parameter.name}: \(\w", text, re.MULTILINE), parameter
