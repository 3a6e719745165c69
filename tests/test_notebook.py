"""docs/quickstart.ipynb: every cell runs as it stands, and what is kept of it are pictures."""

import base64
import importlib.util
import io
import os
import re
from pathlib import Path

import pytest
from nbformat import NotebookNode, validate
from PIL import Image

from benchmarks.pictures import PICTURE, execute, keep_pictures, read_notebook
from tests.conftest import ROOT

MOST = 120_000  # bytes of a picture


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(cell: NotebookNode) -> list[bytes]:
    shown = [output.get("data", {}).get(PICTURE) for output in cell.outputs]
    return [base64.b64decode(picture) for picture in shown if picture is not None]


def test_what_is_kept_of_the_outputs_are_pictures() -> None:
    notebook = read_notebook()
    validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in code(notebook):
        assert (cell.execution_count, dict(cell.metadata)) == (None, {})
        assert all(list(output.data) == [PICTURE] for output in cell.outputs)
        shown = [line for line in cell.source.splitlines() if line.startswith("display(Image(")]
        assert len(pictures(cell)) == len(cell.outputs) == len(shown)
        for picture in pictures(cell):
            assert len(picture) < MOST
            Image.open(io.BytesIO(picture)).verify()


@pytest.mark.parametrize(("folder", "source"), [(ROOT / "docs", ".."), (Path("/"), "circlemnist")])
def test_first_cell_installs_the_program_where_it_is_not(
    folder: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the checkout that it is in, or else by its name."""
    first, *others = code(read_notebook())
    program = re.sub(r"%pip install .*\{source\}", "installed.append(source)", first.source)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.environ["PATH"])  # to which the cell adds
    for missing in (False, True):
        with monkeypatch.context() as patch:
            if missing:
                patch.setattr(importlib.util, "find_spec", lambda _: None)
            exec(program, {"installed": (installed := [])})
        assert installed == [source] * missing
    assert not any("pip install" in cell.source for cell in others)


@pytest.mark.slow
def test_every_cell_runs_and_the_bar_is_that_of_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network: whatever asked for one would be sent to a port where nobody listens."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    kept, notebook = read_notebook(), read_notebook()
    execute(notebook, tmp_path)
    for before, after in zip(code(kept), code(notebook), strict=True):
        sizes = [
            [Image.open(io.BytesIO(picture)).size for picture in pictures(cell)]
            for cell in (before, after)
        ]
        assert sizes[0] == sizes[1]
    first, train = code(notebook)[:2]
    assert first.outputs == []
    bars = [
        output
        for output in train.outputs
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    ]
    assert len(bars) == 1
    assert not [output for output in train.outputs if output.get("name") == "stderr"]
    assert [output.text for output in train.outputs if output.get("name") == "stdout"] != []
    keep_pictures(notebook)
    assert [cell.source for cell in code(notebook)] == [cell.source for cell in code(kept)]
    assert set(notebook.metadata) == set(kept.metadata)
