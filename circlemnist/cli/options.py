"""The flags: one for every setting of `Config`, and those that commands share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from circlemnist.cli.messages import flag, say, spelled
from circlemnist.config import NEEDS as SETTING_NEEDS
from circlemnist.config import Config, read_settings, setting_type, settings_to_drop
from circlemnist.family import LOSS_SETTINGS
from circlemnist.limits import Limits, Value
from circlemnist.plots.kinds import COMPARED, KINDS, PROJECTIONS, THEME_NAMES, VECTOR, Kind
from circlemnist.process import loading
from circlemnist.recipes import recipe_files, settings_file
from circlemnist.runs.run import find_run, names_in

if TYPE_CHECKING:
    from circlemnist.evaluation.evaluate import EvaluatedRun

OUTPUTS = Path("outputs")
WIDEST_CHOICE = 50  # letters of choices that the help shows beside a flag
# the flags of `train` and `sweep` in the order of their help; the others come last
GROUPS = {
    "Sweep": ("varied", "seeds", "trials", "metric", "jobs", "storage"),
    "Data": (
        *("dataset", "classes", "prepare", "skip_unreadable", "data_dir", "unseen", "turned"),
        *("halves", "invented"),
    ),
    "Loss": ("loss", "gamma", "m", "pairs", "class_weights"),
    "Network": ("net", "dim", "hidden_layers", "fold", "last_norm"),
    "Optimiser": (
        *("epochs", "images", "batch_size", "classes_per_batch", "lr", "momentum"),
        *("weight_decay", "scheduler"),
    ),
    "Augmentation": ("augment", "elastic", "plain_share"),
    "Evaluation": ("holdout", "views"),
}
LAST_GROUP = "Run and output"


def _a_kind_uses(option: str, table: Mapping[str, Kind]) -> Callable[[Sequence[str]], bool]:
    using = {"all", *(name for name, kind in table.items() if option in kind.uses)}
    return lambda kinds: not using.isdisjoint(kinds)


# by command, the flags that have an effect only beside some values of another flag: that one, and
# the test of its value
NEEDS: dict[str, dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "train": SETTING_NEEDS,
    "sweep": SETTING_NEEDS,
    "plot": {
        **{name: ("kinds", _a_kind_uses(name, KINDS)) for name in ("projection", "loss")},
        "width": ("out", lambda out: out is None or out.suffix.lower() not in VECTOR),
    },
    "compare": {
        "projection": ("kinds", _a_kind_uses("projection", COMPARED)),
        **dict.fromkeys(("theme", "width", "out"), ("kinds", lambda kinds: "none" not in kinds)),
    },
    "predict": {"theme": ("out", lambda out: out is not None)},
    "export": {
        **dict.fromkeys(("data_dir", "device"), ("kind", lambda kind: kind == "projector")),
        "pixels": ("kind", lambda kind: kind != "projector"),
    },
}


class GroupedCommand(click.Command):
    """A command whose help lists its flags by `GROUPS`.

    Libraries that do this, such as cloup, replace the commands and decorators of click.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups = {title: list[tuple[str, str]]() for title in (*GROUPS, LAST_GROUP)}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                titles = (title for title, names in GROUPS.items() if param.name in names)
                groups[next(titles, LAST_GROUP)].append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class PrintablePath(click.Path):
    """A path that can be printed and written into a TOML file: no line ends, no broken text."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(path_type=Path, **attributes)

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Any:
        if not str(value).isprintable():
            self.fail(f"{str(value)!r} cannot be a path here: it has characters that do not print")
        return super().convert(value, param, ctx)


class SettingsFile(PrintablePath):
    """A file of settings: a recipe, by its name, or a path."""

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Any:
        file = settings_file(value) if isinstance(value, str) else value
        return super().convert(file, param, ctx)

    def shell_complete(self, ctx: click.Context, param: Any, incomplete: str) -> Any:
        names = [CompletionItem(name) for name in recipe_files() if name.startswith(incomplete)]
        return names or super().shell_complete(ctx, param, incomplete)


class NearestChoice(click.Choice[str]):
    """A choice that names the nearest one where another word is given, or a path with `or_path`.

    The help lists many choices in the text of the option.
    """

    def __init__(self, choices: Sequence[str], or_path: bool = False) -> None:
        super().__init__(choices)
        self.limits = Limits(choices=tuple(choices), or_path=or_path)

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Any:
        if problem := self.limits.problem(str(value)):
            self.fail(problem, param, ctx)
        return value if value not in self.choices else super().convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        shown = super().get_metavar(param, ctx)
        return shown if shown is None or len(shown) <= WIDEST_CHOICE else param.opts[0][2:].upper()


def folders(_ctx: click.Context, _param: click.Parameter, text: str) -> list[CompletionItem]:
    """Let the shell complete the name of a folder."""
    return [CompletionItem(text, type="dir")]


def runs(ctx: click.Context, _param: click.Parameter, text: str) -> list[CompletionItem]:
    """Complete the names of runs and sweeps in `outputs`, and else those of folders."""
    names = names_in(Path(ctx.params.get("outputs") or OUTPUTS))
    items = [CompletionItem(name) for name in names if name.startswith(text)]
    return items or folders(ctx, _param, text)


def typed(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE


def refuse_unused_flags(
    ctx: click.Context | None = None, varied: Mapping[str, Sequence[Value]] = MappingProxyType({})
) -> None:
    """Raise click.UsageError for a typed flag that changes nothing beside another, by `NEEDS`.

    Args:
        ctx: that of the command, by default the current one.
        varied: the values of the settings that a sweep varies.
    """
    ctx = ctx or click.get_current_context()
    params = {param.name: param for param in ctx.command.params}
    for name, (other, has_effect) in NEEDS[str(ctx.command.name)].items():
        values = varied.get(other, [ctx.params[other]])
        if typed(ctx, name) and not any(has_effect(value) for value in values):
            beside = _as_typed(params[other], values[0])
            raise click.UsageError(f"{params[name].opts[0]} has no effect with {beside}")


def dropped_from_file(ctx: click.Context, chosen: Mapping[str, Any]) -> list[str]:
    """Return the settings of a --config file that chosen ones replace, and say which the loss does.

    Args:
        chosen: what the user typed; a `loss` of None is one that a sweep varies.
    """
    dropped = settings_to_drop(ctx.default_map or {}, chosen)
    if names := [name for name in dropped if name in LOSS_SETTINGS]:
        loss = chosen["loss"] or "each loss"
        say(f"{', '.join(names)} in the file are not used: {loss} has its own defaults")
    return dropped


def _as_typed(param: click.Parameter, value: Any) -> str:
    if value is None:
        return f"no {param.opts[0]}"
    if value is False:
        return param.secondary_opts[0]
    values = dict.fromkeys(value) if isinstance(value, tuple) else [value]
    return " ".join(f"{param.opts[0]} {value}" for value in values)


def setting_option(name: str, **changes: Any) -> Callable[..., Any]:
    """Return the click option of the setting `name`, with `changes` to its attributes."""
    setting = Config.__dataclass_fields__[name]
    limits = setting.metadata["limits"]
    spelling, help_text = flag(name), setting.metadata["help"]
    kind: Any = setting_type(name)
    if kind is bool:
        spelling, kind = f"{spelling}/--no-{spelling[2:]}", None
    elif limits.choices:
        kind = NearestChoice(limits.choices, limits.or_path)
        if len("|".join(limits.choices)) > WIDEST_CHOICE:
            help_text += f": {', '.join(limits.choices)}"
    attributes = {
        "type": kind,
        "default": setting.default,
        "show_default": setting.default is not None,
        "help": spelled(help_text),
        "shell_complete": folders if name == "data_dir" else None,
    }
    return click.option(spelling, name, **{**attributes, **changes})


def setting_options(
    command: Callable[..., Any], changes: Mapping[str, dict[str, Any]] = MappingProxyType({})
) -> Callable[..., Any]:
    """Add a flag for every setting of `Config`, with `changes` to the attributes of some."""
    for setting in reversed(fields(Config)):
        command = setting_option(setting.name, **changes.get(setting.name, {}))(command)
    return command


def load_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Let the settings of a file stand where no flag is given."""
    if path is not None:
        ctx.default_map = {**(ctx.default_map or {}), **read_settings(path)}
    return path


config_option = click.option(
    "--config",
    type=SettingsFile(dir_okay=False),
    metavar="RECIPE|FILE",
    is_eager=True,
    callback=load_file,
    help="a recipe (see circlemnist recipes) or a TOML file; flags take precedence",
)

outputs_option = click.option(
    "--outputs",
    type=PrintablePath(file_okay=False),
    default=OUTPUTS,
    show_default=True,
    help="folder of runs",
)


def choice_option(*names: str, choices: Iterable[str], **attributes: Any) -> Callable[..., Any]:
    """Return the option of those `names` that is one of `choices`."""
    return click.option(*names, type=NearestChoice([*choices]), show_default=True, **attributes)


projection_option = choice_option(
    "--projection",
    choices=PROJECTIONS,
    default="tsne",
    help="method that reduces the embedding to two dimensions",
)
theme_option = choice_option("--theme", choices=THEME_NAMES, default="light", help="colours")


def kind_option(kinds: Sequence[str], default: str) -> Callable[..., Any]:
    """Return the option of what to draw, one or several of `kinds`."""
    text = "picture to draw, or all; repeatable"
    return choice_option(
        "--kind", "kinds", choices=kinds, multiple=True, default=[default], help=text
    )


def out_option(text: str, default: Path | None = None, **kinds: bool) -> Callable[..., Any]:
    """Return the option of what to write; `kinds` are those of `click.Path`."""
    kind = PrintablePath(**kinds)
    return click.option("--out", type=kind, default=default, show_default=True, help=text)


def width_option(default: int, files: str) -> Callable[..., Any]:
    """Return the option of the width of pictures in files of that kind."""
    return click.option(
        "--width",
        type=click.IntRange(200, 10_000),
        default=default,
        show_default=True,
        help=f"width of a {files}, in pixels",
    )


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add where runs and their data are and where to compute."""
    text = "folder of the data sets  [default: the one the run was trained with]"
    command = setting_option("device")(command)
    command = setting_option("data_dir", default=None, show_default=False, help=text)(command)
    return outputs_option(command)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what names a run, its data and where to compute."""
    argument = click.argument("run_name", metavar="[RUN]", required=False, shell_complete=runs)
    return argument(place_options(command))


def open_run(name: str | None, outputs: Path, data_dir: str | None, device: str) -> "EvaluatedRun":
    """Return the run that `run_options` name; torch is loaded here."""
    run = find_run(outputs, name)
    with loading():
        from circlemnist.evaluation.evaluate import EvaluatedRun

    return EvaluatedRun(run, data_dir, device)
