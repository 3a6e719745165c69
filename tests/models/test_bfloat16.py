"""What is known of bfloat16 on a processor: tried in a process that may die, kept, tried again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from circlemnist.models import precision
from circlemnist.models.precision import Probe, probe, probe_file
from tests.conftest import time_limit

WORKS = 'print(\'{"float32": 30.0, "bfloat16": 20.0, "cosine": 0.98}\')'
KILL = "import os, signal; os.kill(os.getpid(), signal.{})"
HERE = "a process that tried it here "
WRONG = Probe(HERE + "found wrong gradients")
ERROR, SILENT = Probe(HERE + "ended with an error"), Probe(HERE + "gave no answer")


@pytest.fixture(autouse=True)
def _announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor that announces it, of which nothing is known yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    processor = {"cpu_name": "A", "avx2": True, "avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    probe.cache_clear()
    yield
    probe.cache_clear()


def try_by(child: str, monkeypatch: pytest.MonkeyPatch) -> Probe:
    """What is found in a new process of this one where `child` is what tries it."""
    probe.cache_clear()
    monkeypatch.setattr(precision, "COMMAND", (sys.executable, "-S", "-c", child))
    return probe()


@pytest.mark.parametrize(
    ("child", "found", "lasting"),
    [
        pytest.param(WORKS, Probe(gain=1.5), True, id="works"),
        pytest.param(WORKS.replace("20.0", "40.0"), Probe(gain=0.75), True, id="slower"),
        pytest.param(WORKS.replace("0.98", "0.5"), WRONG, True, id="wrong"),
        pytest.param(WORKS.replace("0.98", "NaN"), WRONG, True, id="not a number"),
        pytest.param(KILL.format("SIGILL"), Probe(HERE + "ended with SIGILL"), True, id="dies"),
        pytest.param(KILL.format("SIGKILL"), ERROR, False, id="killed"),
        pytest.param("raise ImportError", ERROR, False, id="fails"),
        pytest.param("print('{}')", SILENT, False, id="empty"),
        pytest.param("print('hello')", SILENT, False, id="babbles"),
        pytest.param("import os; os.write(1, b'\\xe9')", SILENT, False, id="no letters"),
    ],
)
def test_a_process_of_its_own_tries_it_once(
    child: str, found: Probe, lasting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What says nothing about the processor is not kept."""
    assert try_by(child, monkeypatch) == found
    assert found.worthwhile == (found.gain == 1.5)
    assert found.usable == (found.problem == "")
    other = WORKS.replace("20.0", "10.0")
    assert try_by(other, monkeypatch) == (found if lasting else Probe(gain=3.0))


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "LIMIT", 0.5)
    with time_limit(20):
        found = try_by("import time; print('loaded', flush=True); time.sleep(60)", monkeypatch)
    assert found == Probe(HERE + "did not end within 0.5 s")
    assert try_by(WORKS, monkeypatch) == found


def test_a_process_that_is_slow_to_begin_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has not come to bfloat16."""
    with monkeypatch.context() as patch, time_limit(20):
        patch.setattr(precision, "LIMIT", 0.5)
        assert not try_by("import time; time.sleep(60)", patch).usable
    assert try_by(WORKS, monkeypatch) == Probe(gain=1.5)


def test_time_that_a_slow_beginning_took_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "LIMIT", 1.0)
    slow = f"import time; print('loaded', flush=True); time.sleep(1.3); {WORKS}"
    assert try_by(slow, monkeypatch) == Probe(gain=1.5)


def test_paths_that_are_no_texts_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python does with those that a notebook adds."""
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path])
    assert try_by(WORKS, monkeypatch) == Probe(gain=1.5)


def test_an_answer_that_was_there_in_time_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though this process, stopped meanwhile, looks for it too late."""
    wait = subprocess.Popen.communicate

    def late(child: subprocess.Popen[bytes], timeout: float | None = None) -> tuple[bytes, bytes]:
        if timeout is None:
            return wait(child)
        child.wait()
        raise subprocess.TimeoutExpired("", timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", late)
    assert try_by(WORKS, monkeypatch) == Probe(gain=1.5)


def test_nothing_is_tried_where_it_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    without = {"cpu_name": "A", "avx2": True, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: without)
    assert try_by(WORKS, monkeypatch) == Probe("this processor does not announce it")


def test_nothing_is_known_where_no_process_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "COMMAND", (str(tmp_path / "nothing"),))
    assert probe() == Probe("no process could be started to try it")
    assert try_by(WORKS, monkeypatch).usable


def test_another_processor_or_torch_is_tried_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    first = try_by(WORKS, monkeypatch)
    slower = WORKS.replace("20.0", "60.0")
    for change in (
        (torch, "__version__", "3.0"),
        (torch.cpu, "get_capabilities", lambda: {"cpu_name": "B", "bf16": True}),
        (os, "environ", {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*change)
            assert try_by(slower, patch) == Probe(gain=0.5)
    assert try_by(slower, monkeypatch) == first


@pytest.mark.parametrize(
    "content", [b"", b'{"problem": "", "gain": 1', b"[]", b'{"problem": ""}', b"\xff\xfe"]
)
def test_a_damaged_file_is_replaced(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    file = probe_file()
    assert file is not None
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert try_by(WORKS, monkeypatch) == Probe(gain=1.5)
    assert try_by("raise ImportError", monkeypatch) == Probe(gain=1.5)
    assert list(file.parent.iterdir()) == [file]


def test_it_is_tried_each_time_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert try_by(WORKS, monkeypatch) == Probe(gain=1.5)
    assert try_by(WORKS.replace("20.0", "10.0"), monkeypatch) == Probe(gain=3.0)


def test_it_is_kept_at_home_where_no_other_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    try_by(WORKS, monkeypatch)
    file = probe_file()
    assert file is not None
    assert file.parent == tmp_path / "home" / ".cache" / "circlemnist"
    assert file.exists()


def test_it_is_tried_where_there_is_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert try_by(WORKS, monkeypatch) == Probe(gain=1.5)


def test_the_real_process_answers_wherever_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bfloat16_here: None
) -> None:
    """In a folder with a file that has the name of a module, and with a launcher's words."""
    (tmp_path / "torch.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    found = probe()
    assert found.usable
    assert found.gain > 0
