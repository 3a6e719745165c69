"""What is known of bfloat16 on a processor: tried in a process that may die, kept, tried again."""

import sys

import pytest
import torch

from circlemnist.models import precision
from circlemnist.models.precision import Probe, probe, probe_file
from tests.conftest import set_ranks

WORKS = 'print(\'{"float32": 30.0, "bfloat16": 20.0, "cosine": 0.98}\')'
FASTER = WORKS.replace("20.0", "10.0")
KILL = "import os, signal; os.kill(os.getpid(), signal.{})"
WRONG = Probe("a process that tried it here found wrong gradients")
DIES = Probe("a process that tried it here ended with SIGILL")
SILENT = Probe("a process that tries it gave no answer")


@pytest.fixture(autouse=True)
def _announced(tmp_path, monkeypatch):
    """A processor that announces it, of which nothing is known yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    processor = {"cpu_name": "A", "avx2": True, "avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    yield
    probe.cache_clear()


def try_by(child, monkeypatch):
    """What a new process of this one knows where `child` is what tries it."""
    probe.cache_clear()
    monkeypatch.setattr(precision, "COMMAND", (sys.executable, "-S", "-c", child))
    return probe()


@pytest.mark.parametrize(
    ("child", "result", "lasting"),
    [
        pytest.param(WORKS, Probe(gain=1.5), True, id="works"),
        pytest.param(WORKS.replace("0.98", "0.5"), WRONG, True, id="wrong"),
        pytest.param(WORKS.replace("0.98", "NaN"), WRONG, True, id="not a number"),
        pytest.param(KILL.format("SIGILL"), DIES, True, id="dies"),
        pytest.param(KILL.format("SIGKILL"), SILENT, False, id="killed"),
        pytest.param("raise ImportError", SILENT, False, id="fails"),
        pytest.param("print('{}')", SILENT, False, id="empty"),
    ],
)
def test_a_process_of_its_own_tries_it_once(child, result, lasting, monkeypatch):
    """What says nothing about the processor is not kept."""
    assert try_by(child, monkeypatch) == result
    assert try_by(FASTER, monkeypatch) == (result if lasting else Probe(gain=3.0))


def test_a_process_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(precision, "LIMIT", 0.5)
    assert try_by("import time; time.sleep(60)", monkeypatch) == SILENT


def test_nothing_is_tried_where_it_is_not_announced(monkeypatch):
    without = {"cpu_name": "A", "avx2": True, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: without)
    assert try_by(WORKS, monkeypatch) == Probe("this processor does not announce it")


def test_another_processor_or_torch_is_tried_by_itself(monkeypatch):
    first = try_by(WORKS, monkeypatch)
    for change in (
        (torch, "__version__", "3.0"),
        (torch.cpu, "get_capabilities", lambda: {"cpu_name": "B", "bf16": True}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*change)
            assert try_by(FASTER, patch) == Probe(gain=3.0)
    assert try_by(FASTER, monkeypatch) == first


@pytest.mark.parametrize("content", [b"", b'{"problem": "", "gain": 1', b"[]", b"\xff\xfe"])
def test_a_damaged_file_is_replaced(content, monkeypatch):
    file = probe_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert try_by(WORKS, monkeypatch) == Probe(gain=1.5)
    assert try_by("raise ImportError", monkeypatch) == Probe(gain=1.5)
    assert list(file.parent.iterdir()) == [file]


def test_it_is_tried_each_time_where_nothing_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert try_by(WORKS, monkeypatch) == Probe(gain=1.5)
    assert try_by(FASTER, monkeypatch) == Probe(gain=3.0)


def test_the_real_process_answers_wherever_it_is_started(tmp_path, monkeypatch):
    """In a folder with a file that has the name of a module, and with a launcher's words."""
    (tmp_path / "torch.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    set_ranks(monkeypatch, 1)
    probe.cache_clear()
    result = probe()
    if "ended with SIG" in result.problem:
        pytest.skip(f"no bfloat16: {result.problem}")
    assert result.problem == ""
    assert result.gain > 0
