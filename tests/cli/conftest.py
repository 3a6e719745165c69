"""What the tests of the command line share."""

from pathlib import Path

import pytest


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's folder, in which it is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
