"""Options made from the parameters of ``setup``: on the command line, in a file, and back."""

import dataclasses
import enum
import inspect
import pathlib
import re
from collections.abc import Callable, Iterable

import numpy as np

from wgf import checks

# what a scalar is in JSON and on the command line, and its name in a sentence; a truth value is an
# int as well, so it comes first
BASES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
TRUTH = dict.fromkeys(("true", "yes", "1"), True) | dict.fromkeys(("false", "no", "0"), False)


@dataclasses.dataclass(frozen=True)
class Option:
    """A parameter of a function: its name, its default, and a note for the help.

    The default says what values look like: truth values, numbers, texts, paths and members of an
    enumeration, those of NumPy as well; tuples of as many of them, lists of any number; None and
    what is empty take texts.

    Raises
    ------
    InputError
        For a default of another kind.
    """

    name: str
    default: object
    note: str = ""

    def __post_init__(self):
        known = self.default is None or all(_base(like) for like in self._likes())
        if not known or self.name == "help":
            trouble = f"{checks.shown(self.default)} as its default" if not known else "that name"
            raise checks.InputTypeError(
                f"script: the parameter {self.name} of setup() has {trouble}, which no option can "
                "have, use numbers, texts, True, False, None, paths, enumerations, or a tuple or "
                "list of these"
            )

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def flagged(self) -> bool:
        """Whether the option is a flag without a value."""
        return isinstance(self.default, bool | np.bool_)

    @property
    def several(self) -> bool:
        """Whether a value is a tuple or a list."""
        return isinstance(self.default, tuple | list)

    @property
    def shape(self) -> dict:
        """How many words the option takes and what the help calls them, as argparse has it."""
        names = tuple(_name(like) for like in self._likes())
        if not self.several:
            return {"metavar": names[0]}
        if isinstance(self.default, list) or not self.default:
            return {"nargs": "*", "metavar": names[-1]}
        return {"nargs": len(self.default), "metavar": names}

    @property
    def help(self) -> str:
        shown = self.stored(self.default)
        shown = " ".join(map(str, shown)) if self.several else "" if shown is None else shown
        return f"{self.note} (default {shown})".strip() if shown != "" else self.note

    def read(self, words: bool | str | Iterable[str]) -> object:
        """Return the value that a word, several for a tuple or list, or a flag stands for.

        Raises
        ------
        InputError
            For a word that cannot be read like the default.
        """
        convert = _from_json if isinstance(words, bool) else _from_text
        return self._each(words if self.several else [words], convert, self.flag)

    def stored(self, value: object) -> object:
        """Return a value as JSON holds it."""
        return [_plain(each) for each in value] if self.several else _plain(value)

    def restored(self, held: object, where: str) -> object:
        """Return the value that JSON holds; an error says that it is held at `where`.

        Raises
        ------
        InputError
            For a value of another kind than the default.
        """
        if self.several and not isinstance(held, list):
            raise checks.InputError(
                f"{where}: {self.name} is {checks.shown(held)} where the script takes a "
                f"{type(self.default).__name__}, give the script that began the run"
            )
        return self._each(held if self.several else [held], _from_json, f"{where}: {self.name}")

    def _likes(self) -> list:
        """Return what the items of a value look like, of a scalar itself; the last one repeats."""
        if self.several:
            return list(self.default) or [""]
        return ["" if self.default is None else self.default]

    def _each(self, items: Iterable, convert: Callable, what: str) -> object:
        items, likes = list(items), self._likes()
        if isinstance(self.default, tuple) and self.default and len(items) != len(likes):
            raise checks.InputError(f"{what}: {len(items)} values do not fit, give {len(likes)}")
        # where whole numbers stand beside others, each may be of either kind
        either = {int, float} <= {_base(like) for like in likes}
        found = []
        for number, item in enumerate(items):
            like = None if self.default is None else likes[min(number, len(likes) - 1)]
            try:
                found.append(convert(like, item, either))
            except (ValueError, KeyError, TypeError, OverflowError):
                raise checks.InputError(
                    f"{what}: {checks.shown(item)} is not {_sort(like)}, give a value such as "
                    f"{_plain(like)}"
                ) from None
        if not self.several:
            return found[0]
        kind = type(self.default)
        return getattr(kind, "_make", kind)(found)


def parameters(function: Callable) -> dict[str, Option]:
    """Return the options that the parameters of `function` become, with notes of its docstring.

    Raises
    ------
    InputError
        For a parameter that cannot become an option.
    """
    notes = dict(re.findall(r"^ *(\w+) *: *[^\n]*\n {4,}([^\n]+)", function.__doc__ or "", re.M))
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
            raise checks.InputError(
                f"script: the parameter {name} of setup() has no default or no name, give it both"
            )
        found[name] = Option(name, parameter.default, notes.get(name, ""))
    return found


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, pathlib.PurePath):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def _base(like: object) -> type | None:
    """Return the type of a scalar in JSON, None for what is none."""
    return next((base for base in BASES if isinstance(_plain(like), base)), None)


def _name(like: object) -> str:
    if isinstance(like, enum.Enum):
        return "{" + ",".join(type(like).__members__) + "}"
    return "path" if isinstance(like, pathlib.PurePath) else _base(like).__name__


def _sort(like: object) -> str:
    return f"one of {_name(like)}" if isinstance(like, enum.Enum) else BASES[_base(like) or str]


def _from_text(like: object, text: str, either: bool) -> object:
    base = _base(like) or str
    if base is bool:
        held = TRUTH[text.lower()]
    elif either and base is not str:
        held = int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
    else:
        held = base(text)
    return _from_json(like, held, either)


def _from_json(like: object, held: object, either: bool) -> object:
    base = _base(like)
    if isinstance(like, enum.Enum):
        return type(like)[held]
    # a default of None says nothing about other values
    allowed = {None: (*BASES, type(None)), float: (float, int)}.get(base, (base,))
    if either and base in (int, float):
        like, allowed = held, (int, float)
    if type(held) not in allowed:
        raise TypeError
    return held if base is None else type(like)(held)
