"""Break the core of the package in one place at a time; print which faults no test notices.

    python -m benchmarks mutants                              # all of it; hours on 2 cores
    python -m benchmarks mutants 'circlemnist.data.*'         # some of it
    python -m benchmarks mutants --sample 40 --seconds 300    # functions drawn at random

mutmut makes the faults, and goes on where it was stopped. Changes that change nothing are listed in
`tests/equivalent_mutants.toml`. Expected: at least 97 % are killed (CONTRIBUTING.md).
"""

import ast
import os
import random
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import click

from benchmarks.shared import CORES, ROOT, print_head, print_row

MUTMUT = [str(Path(sys.executable).parent / "mutmut")]
EQUIVALENT = ROOT / "tests" / "equivalent_mutants.toml"
# a fault that ends the process of its test is suspicious to mutmut, and noticed by anybody
KILLED = ("killed", "timeout", "segfault", "suspicious", "caught by type check")


def function_patterns() -> list[str]:
    """A pattern for the faults of each function of the core."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    patterns = []
    for path in sorted((ROOT / "circlemnist").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if any(fnmatch(name, chosen) for chosen in settings["only_mutate"]):
            module = name.removesuffix(".py").replace("/", ".")
            nodes = ast.walk(ast.parse(path.read_text("utf-8")))
            functions = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
            patterns += [f"{module}.x*{function}__mutmut_*" for function in functions]
    return patterns


def mutmut(*args: str) -> list[str]:
    result = subprocess.run([*MUTMUT, *args], cwd=ROOT, capture_output=True, text=True)
    return result.stdout.splitlines()


def is_equivalent(change: str) -> bool:
    """Whether `old -> new` is listed as a change that changes nothing."""
    listed = tomllib.loads(EQUIVALENT.read_text("utf-8"))
    return any(re.search(pattern, change) for pattern in listed)


def print_report() -> None:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    survivors = []
    rows = [line.strip().split(": ") for line in mutmut("results", "--all", "true") if ": " in line]
    for name, status in sorted(row for row in rows if row[1] != "not checked"):
        kind = "killed" if status in KILLED else "survived"
        if kind == "survived":
            lines = [line for line in mutmut("show", name) if not line.startswith(("---", "+++"))]
            old, new = (
                " ".join(line[1:].strip() for line in lines if line.startswith(sign))
                for sign in "-+"
            )
            if is_equivalent(f"{old} -> {new}"):
                kind = "equivalent"
            else:
                survivors.append(f"\n{name}: {status}\n  - {old}\n  + {new}")
        counts["/".join(name.split(".")[1:-1])][kind] += 1
    print_head("file", "tried", "killed", "equivalent", "survived")
    total: Counter[str] = sum(counts.values(), Counter())
    for file, count in [*sorted(counts.items()), ("all", total)]:
        print_row(file, count.total(), count["killed"], count["equivalent"], count["survived"])
    print(*survivors, sep="\n")


@click.command()
@click.argument("patterns", nargs=-1)
@click.option("--sample", default=0, help="this many functions, drawn at random")
@click.option("--seconds", default=86_400.0, help="after which no more are tried")
def mutants(patterns: Sequence[str], sample: int, seconds: float) -> None:
    """Break the core in one place at a time; print what no test notices."""
    if sample:
        patterns = random.sample(function_patterns(), sample)
    # threads of torch in several processes would wait for one another
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    # mutmut works on a copy, beside which there are no archives
    environment.setdefault("CIRCLEMNIST_TEST_DATA", str(ROOT.parent / "shared" / "mnist"))
    limit = ["timeout", "--signal=KILL", str(seconds)]  # mutmut, and the processes that try faults
    command = [*limit, *MUTMUT, "run", "--max-children", str(CORES), *patterns]
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    print_report()
