"""How threads wait is set before torch is loaded, unless the user's environment says it."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

WAYS = {
    "command": (
        "import circlemnist.__main__ as program, os, sys; sys.argv[1:] = ['--version']\n"
        "try: program.main()\n"
        "except SystemExit: print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"
    ),
    "python": (
        "import builtins, circlemnist, os; load = builtins.__import__\n"
        "def seen(name, *rest):\n"
        "    if name == 'torch': print(False, os.environ.get('GOMP_SPINCOUNT')); os._exit(0)\n"
        "    return load(name, *rest)\n"
        "builtins.__import__ = seen\n"
        "circlemnist.train"
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("own", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
    ids=["unset", "spins", "policy"],
)
def test_threads_spin_briefly_unless_the_user_says_otherwise(
    way: str, own: dict[str, str], spins: str
) -> None:
    unset = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    ended = subprocess.run(
        [sys.executable, "-uc", WAYS[way]],
        cwd=ROOT,
        env={**unset, **own},
        capture_output=True,
        text=True,
    )
    assert ended.stdout.splitlines()[-1] == f"False {spins}", ended.stderr
