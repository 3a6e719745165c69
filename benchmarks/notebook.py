"""Execute docs/quickstart.ipynb and keep of what it puts out the pictures alone.

    python -m benchmarks.notebook              # rewrites the notebook, some two minutes

Expected: no cell fails, and the pictures of the notebook are new. What a cell prints is not kept:
it has times and the folders of a machine in it.
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parent.parent / "docs" / "quickstart.ipynb"
PICTURE = "image/png"


def read(path: Path = NOTEBOOK) -> NotebookNode:
    """Return the notebook of a file."""
    return nbformat.read(path, as_version=4)


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in a folder, by this Python; their outputs are then in the notebook.

    Raises:
        CellExecutionError: a cell fails.
    """
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()


def strip(notebook: NotebookNode) -> None:
    """Take everything out of a notebook that running it has left there, but for pictures."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            shown = [output.get("data", {}) for output in cell.outputs]
            cell.outputs = [
                nbformat.v4.new_output("display_data", {PICTURE: data[PICTURE]})
                for data in shown
                if PICTURE in data
            ]


def main() -> None:
    """Execute, strip, write."""
    notebook = read()
    with tempfile.TemporaryDirectory() as folder:
        execute(notebook, Path(folder))
    strip(notebook)
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
