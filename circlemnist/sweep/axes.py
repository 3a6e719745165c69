"""The settings that a sweep varies, as they are typed; imports nothing heavy."""

import contextlib
import difflib
import re
from dataclasses import dataclass, fields

from circlemnist.config import Config, setting_problem, setting_type
from circlemnist.errors import SettingError
from circlemnist.limits import Value

SWITCH = {"true": True, "on": True, "false": False, "off": False}
RANGE = re.compile(r"(.+?)\.\.(.+?)(:log)?")


@dataclass(frozen=True)
class Axis:
    """A setting that varies: over `values`, or where it has no list of them between two.

    Attributes:
        name: of a field of `Config`.
        values: two or more in a grid, or the only one.
        bounds: the least and the most value of a range; None for `values`.
        log: whether a range is searched on a logarithmic scale.
    """

    name: str
    values: tuple[Value, ...] = ()
    bounds: tuple[float, float] | None = None
    log: bool = False

    @property
    def ends(self) -> tuple[Value, ...]:
        """Its values, or the ends of its range."""
        return self.bounds or self.values

    def to_toml(self) -> object:
        """Return its values as a list, or its range as a table."""
        if self.bounds is None:
            return list(self.values)
        return {"from": self.bounds[0], "to": self.bounds[1], "log": self.log}


def parse_axis(text: str) -> Axis:
    """Read `KEY=V1,V2,…`, or `KEY=LOW..HIGH` and perhaps `:log` for a range of numbers.

    Raises:
        SettingError: it is neither, the setting is unknown, or a value is not one of it.
    """
    name, sign, listed = text.partition("=")
    name = name.strip().replace("-", "_")
    if not sign:
        raise SettingError("vary", f"must be KEY=V1,V2,… or KEY=LOW..HIGH, not {text!r}")
    known = [setting.name for setting in fields(Config)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0)
        raise SettingError("vary", f"has the unknown setting {name!r}; did you mean {near[0]!r}?")
    found = RANGE.fullmatch(listed.strip())
    if found and setting_type(name) in (int, float):
        return _range(name, found)
    values = tuple(_value(name, each.strip()) for each in listed.split(","))
    for value in values:
        if values.count(value) > 1:
            raise SettingError("vary", f"has {name} = {value} twice: two cells would be the same")
    return Axis(name, values)


def _range(name: str, found: re.Match[str]) -> Axis:
    low, high = (_value(name, found[end].strip()) for end in (1, 2))
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if not low < high:
        raise SettingError("vary", f"{name} must go from less to more, not {low}..{high}")
    if found[3] and low <= 0:
        raise SettingError("vary", f"{name} must be above 0 for a logarithmic scale, not {low}")
    return Axis(name, bounds=(low, high), log=bool(found[3]))


def _value(name: str, text: str) -> Value:
    """Read one value of a setting, and hold it to the limits that it has by itself."""
    kind = setting_type(name)
    value: Value = text
    with contextlib.suppress(ValueError):
        value = SWITCH.get(text.lower(), text) if kind is bool else kind(text)
    if problem := setting_problem(name, value):
        raise SettingError("vary", f"{name} {problem}")
    return value
