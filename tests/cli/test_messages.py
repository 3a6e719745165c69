"""Messages of the library, in the words of the command line."""

import ast
import re
from pathlib import Path

import circlemnist
from circlemnist.cli.main import main
from circlemnist.cli.messages import spelled

BELOW = [
    path
    for path in Path(circlemnist.__file__).parent.rglob("*.py")
    if path.parent.name != "cli" and path.name != "__main__.py"
]
NAMES = [f"circlemnist {command}" for command in main.commands] + [
    spelling
    for command in main.commands.values()
    for param in command.params
    for spelling in (*param.opts, *param.secondary_opts)
    if spelling.startswith("--")
]
FLAG_OR_COMMAND = re.compile(rf"(?<![\w-])({'|'.join(NAMES)})\b(?!-)")


def test_settings_and_jobs_are_spelled_as_flags_and_commands() -> None:
    assert spelled("raise `batch_size` above 4") == "raise --batch-size above 4"
    assert spelled("with `resume` mine, in `outputs`") == "with --resume mine, in --outputs"
    assert spelled("run `eval /a b/c` again") == "run `circlemnist eval /a b/c` again"
    assert spelled("first, with `train`") == "first, with `circlemnist train`"
    assert spelled("`gama` and `a b` and gamma") == "`gama` and `a b` and gamma"


def test_nothing_below_the_command_line_names_a_flag_or_a_command() -> None:
    assert len(BELOW) > 50
    named = [
        (path.name, node.value)
        for path in BELOW
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and FLAG_OR_COMMAND.search(node.value)
    ]
    assert named == []
