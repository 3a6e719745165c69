"""Where a network computes, and in which precision: on the GPU that is there, if it is able to."""

from functools import partial

import pytest
import torch

from circlemnist.config import Config
from circlemnist.errors import SettingError
from circlemnist.models.embedder import build_embedder, forward_in
from circlemnist.models.precision import Probe, resolve_device, resolve_precision


@pytest.mark.parametrize(
    ("there", "chosen"),
    [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")],
    ids=["none", "mps", "cuda", "both"],
)
def test_auto_takes_the_gpu_and_one_that_is_not_there_is_refused(there, chosen, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    assert resolve_device("auto") == torch.device(chosen)
    for name in ("cpu", *there):
        assert resolve_device(name) == torch.device(name)
    for name in {"cuda", "mps"} - {*there}:
        with pytest.raises(SettingError, match=f"`device` {name}: this machine has no such"):
            resolve_device(name)


FAST, SLOW, NONE = Probe(gain=1.5), Probe(gain=0.9), Probe("this processor dislikes it")
GPUS = "of GPUs only some have it, and this one does not"


@pytest.mark.parametrize(
    ("device", "native", "cpu", "auto", "problem"),
    [
        ("cuda", True, NONE, "bfloat16", ""),
        ("cuda", False, FAST, "float32", GPUS),
        ("mps", True, FAST, "float32", GPUS),
        ("cpu", False, FAST, "bfloat16", ""),
        ("cpu", True, SLOW, "float32", ""),
        ("cpu", True, NONE, "float32", NONE.problem),
    ],
    ids=["able", "emulates", "mps", "fast cpu", "slow cpu", "cpu"],
)
def test_auto_takes_bfloat16_where_it_is_there_and_faster(
    device, native, cpu, auto, problem, monkeypatch
):
    def supported(including_emulation=True):
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr("circlemnist.models.precision.probe", lambda: cpu)
    resolve = partial(resolve_precision, device=torch.device(device))
    assert [resolve("auto"), resolve("float32")] == [auto, "float32"]
    if not problem:
        assert resolve("bfloat16") == "bfloat16"
    else:
        words = f"^`precision` bfloat16: {problem}; use `precision` auto"
        with pytest.raises(SettingError, match=words):
            resolve("bfloat16")


@pytest.mark.usefixtures("bfloat16_here")
@pytest.mark.parametrize(
    "settings",
    [{}, {"fold": 8, "dim": 2}, {"net": "article"}, {"loss": "center"}],
    ids=["sphere", "folded", "article", "plain"],
)
def test_embeddings_under_autocast_are_float32(settings):
    """Bfloat16 has three digits; at unit length to all of float32's."""
    embedder = build_embedder(Config(**settings))
    images = torch.rand(8, 1, 28, 28)
    exact, half = (forward_in(embedder, name)(images) for name in ("float32", "bfloat16"))
    for stage, half_stage in zip(exact, half, strict=True):
        assert stage.dtype == half_stage.dtype == torch.float32
        assert not torch.equal(stage, half_stage)
        assert torch.cosine_similarity(stage, half_stage).min() > 0.98
        if embedder.on_sphere:
            torch.testing.assert_close(half_stage.norm(dim=1), torch.ones(8), atol=1e-6, rtol=0)
