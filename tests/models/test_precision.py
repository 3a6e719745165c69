"""Where a network computes, and in which precision: on the GPU that is there, if it is able to."""

from typing import cast

import pytest
import torch
from torch import Tensor

from circlemnist.errors import SettingError
from circlemnist.models.device import resolve_device
from circlemnist.models.embedder import Embedder
from circlemnist.models.precision import training_forward


@pytest.mark.parametrize(
    ("there", "chosen"),
    [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")],
    ids=["none", "mps", "cuda", "both"],
)
def test_auto_takes_the_gpu_and_one_that_is_not_there_is_refused(
    there: tuple[str, ...], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    assert resolve_device("auto") == torch.device(chosen)
    for name in ("cpu", *there):
        assert resolve_device(name) == torch.device(name)
    for name in {"cuda", "mps"} - {*there}:
        with pytest.raises(SettingError, match=f"`device` {name}: this machine has no such"):
            resolve_device(name)


class Elsewhere:
    """Stands for an embedder on any device; its stage is of the dtype that they are computed in."""

    def __init__(self, device: str) -> None:
        self.mean = self
        self.device = torch.device(device)

    def stages(self, images: Tensor) -> list[Tensor]:
        half = torch.is_autocast_enabled("cuda")
        dtype = torch.get_autocast_dtype("cuda") if half else torch.float32
        return [images.to(dtype)]


@pytest.mark.parametrize(
    ("device", "native", "computed"),
    [
        ("cuda", True, {"auto": torch.bfloat16, "bfloat16": torch.bfloat16}),
        ("cuda", False, {"auto": torch.float32, "bfloat16": None}),
        ("cpu", True, {"auto": torch.float32, "bfloat16": None}),
    ],
    ids=["able", "emulates", "cpu"],
)
def test_bfloat16_is_for_gpus_that_have_it_themselves(
    device: str,
    native: bool,
    computed: dict[str, torch.dtype | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or native,
    )
    embedder = cast(Embedder, Elsewhere(device))
    for precision, dtype in (computed | {"float32": torch.float32}).items():
        if dtype is None:
            with pytest.raises(SettingError, match="`precision` bfloat16: only some GPUs have it"):
                training_forward(embedder, precision)
        else:
            assert training_forward(embedder, precision)(torch.zeros(1))[0].dtype == dtype
