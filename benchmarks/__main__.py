"""Every figure of README and docs/ again, from the top folder; each module says what to expect.

python -m benchmarks                 # all benchmarks, a line each
python -m benchmarks loss --help
"""

from importlib import import_module
from pathlib import Path

import click


@click.group(context_settings={"show_default": True, "terminal_width": 100})
def main() -> None:
    """Repeat a figure of README or docs/; nothing else should compute meanwhile."""


files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
modules = [import_module(f"benchmarks.{file.stem}") for file in files]
for value in [value for module in modules for value in vars(module).values()]:
    if isinstance(value, click.Command):
        main.add_command(value)

if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
