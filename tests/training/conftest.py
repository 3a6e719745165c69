"""What the tests of training share: the images they train on."""

from pathlib import Path

import pytest

from circlemnist.data.datasets import Split, load_dataset


@pytest.fixture(scope="session")
def split() -> Split:
    return load_dataset("digits", Path("unused")).train
