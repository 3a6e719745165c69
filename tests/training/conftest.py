"""The images that the tests of training train on."""

from pathlib import Path

import pytest
import torch

from circlemnist.data.datasets import Split, load_dataset


@pytest.fixture(scope="session")
def split() -> Split:
    """1,437 images."""
    return load_dataset("digits", Path("unused")).train


@pytest.fixture(scope="session")
def few(split: Split) -> Split:
    """500 images."""
    return split.where(torch.arange(500))
