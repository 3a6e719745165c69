"""Break the core of the package in one place at a time, and tell which faults no test notices.

    python -m benchmarks.mutants                              # all of it; hours on 2 cores
    python -m benchmarks.mutants 'circlemnist.data.*'         # some of it
    python -m benchmarks.mutants --sample 40 --seconds 300    # some functions, as `.ci/run` does
    python -m benchmarks.mutants --report                     # what is known from earlier runs

mutmut makes the faults and runs the tests that come by each of them; `[tool.mutmut]` in
`pyproject.toml` says which files and which tests. Prints a table by file, then the changes that
survived. Those that change nothing are listed, each with its reason, in
`tests/equivalent_mutants.toml`.
"""

import argparse
import ast
import os
import random
import re
import signal
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTMUT = [str(Path(sys.executable).parent / "mutmut")]
KNOWN = ROOT / "tests" / "equivalent_mutants.toml"
# a fault that ends the process of its test is suspicious to mutmut, and noticed by anybody
KILLED = ("killed", "timeout", "segfault", "suspicious", "caught by type check")


def functions() -> list[str]:
    """Return a pattern for the faults of each function of the core."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    found = []
    for path in sorted((ROOT / "circlemnist").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        chosen, left = (
            any(fnmatch(name, pattern) for pattern in settings[key])
            for key in ("only_mutate", "do_not_mutate")
        )
        if chosen and not left:
            module = name.removesuffix(".py").replace("/", ".")
            nodes = ast.walk(ast.parse(path.read_text("utf-8")))
            names = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
            found += [f"{module}.x*{name}__mutmut_*" for name in names]
    return found


def statuses() -> dict[str, str]:
    """Return what is known of each fault that was tried."""
    shown = subprocess.run(
        [*MUTMUT, "results", "--all", "true"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rows = (line.strip().split(": ") for line in shown.stdout.splitlines() if ": " in line)
    return {name: status for name, status in rows if status != "not checked"}


def change(name: str) -> tuple[str, str]:
    """Return the lines that a fault takes away, and those that it puts in their place."""
    shown = subprocess.run([*MUTMUT, "show", name], cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in shown.stdout.splitlines() if not line.startswith(("---", "+++"))]
    old, new = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    return old, new


def is_equivalent(function: str, old: str, new: str) -> bool:
    """Tell whether a change is known to change nothing: by itself, or as one of a sort."""
    known = tomllib.loads(KNOWN.read_text("utf-8"))
    return any(
        (each["function"], each["old"], each["new"]) == (function, old, new)
        for each in known.get("mutant", [])
    ) or any(re.search(sort["change"], f"{old} -> {new}") for sort in known.get("sort", []))


def function_of(name: str) -> str:
    """Return `circlemnist.data.idx.read`, or with a class before the last dot, for a fault."""
    name = re.sub(r"__mutmut_\d+$", "", name)
    return re.sub(r"\.x_|\.xǁ", ".", name).replace("ǁ", ".")


def main() -> None:
    """Parse the arguments, try faults, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", help="names of faults, with wildcards")
    parser.add_argument("--sample", type=int, help="this many functions, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--seconds", type=float, help="after which no more are tried")
    parser.add_argument("--report", action="store_true", help="try none")
    arguments = parser.parse_args()
    patterns = arguments.patterns
    if arguments.sample:
        patterns = random.Random(arguments.seed).sample(functions(), arguments.sample)
    if not arguments.report:
        run(patterns, arguments.seconds)
    report()


def run(patterns: list[str], seconds: float | None) -> None:
    """Try the faults that match, one process a core, for so long at most."""
    # threads of torch in several processes would wait for one another
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    # mutmut works on a copy, beside which there are no archives
    environment.setdefault("CIRCLEMNIST_TEST_DATA", str(ROOT.parent / "shared" / "mnist"))
    command = [*MUTMUT, "run", "--max-children", str(os.cpu_count()), *patterns]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            print(f"the time was up after {seconds:g} s")
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that try faults


def report() -> None:
    """Print the table, then every survivor."""
    counts, survivors = defaultdict(Counter), []
    for name, status in sorted(statuses().items()):
        file = "/".join(name.split(".")[1:-1])
        if status in KILLED:
            counts[file]["killed"] += 1
            continue
        old, new = change(name)
        if is_equivalent(function_of(name), old, new):
            counts[file]["equivalent"] += 1
        else:
            counts[file]["survived"] += 1
            survivors.append((name, status, old, new))
    print("| file | tried | killed | equivalent | survived |\n| --- | --- | --- | --- | --- |")
    total: Counter[str] = sum(counts.values(), Counter())
    for file, count in [*sorted(counts.items()), ("all", total)]:
        kinds = (count.total(), count["killed"], count["equivalent"], count["survived"])
        print(f"| {file} | {' | '.join(map(str, kinds))} |")
    for name, status, old, new in survivors:
        print(f"\n{name}: {status}\n  - {old}\n  + {new}")


if __name__ == "__main__":
    main()
