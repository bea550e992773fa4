"""Options made from the parameters of a function: on the command line, in a file, and back."""

import dataclasses
import enum
import inspect
import pathlib
import re
import types
import typing
from collections.abc import Callable, Iterable

import numpy as np

from wgf import checks

# what a scalar is in JSON and on the command line, and its name in a sentence; a truth value is an
# int as well, so it comes first
BASES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
TRUTH = dict.fromkeys(("true", "yes", "1"), True) | dict.fromkeys(("false", "no", "0"), False)


@dataclasses.dataclass(frozen=True)
class Option:
    """A parameter of a function with a default, and what its values look like.

    Values are truth values, numbers, texts, paths and members of an enumeration, those of NumPy as
    well; tuples of a fixed number of them; lists of any number.

    Parameters
    ----------
    name : str
    default
        The values look like it, and what is empty takes texts.
    note : str
        For the help.
    like
        What values look like where the default is None.
    choices : tuple
        All values there are, where not every one will do.

    Raises
    ------
    InputError
        For a default of another kind.
    """

    name: str
    default: object
    note: str = ""
    like: object = ""
    choices: tuple = ()

    def __post_init__(self):
        known = all(_base(each) for each in self._likes)
        if not known or self.name == "help":
            trouble = f"{checks.shown(self.default)} as its default" if not known else "that name"
            raise checks.InputTypeError(
                f"script: the parameter {self.name} of setup() has {trouble}, which no option can "
                "have, use numbers, texts, True, False, None, paths, enumerations, or a tuple or "
                "list of these"
            )

    @property
    def flag(self) -> str:
        return "--" + self.name.strip("_").replace("_", "-")

    @property
    def flagged(self) -> bool:
        """Whether the option is a flag without a value."""
        return _base(self._model) is bool

    @property
    def shape(self) -> dict:
        """How many words the option takes and what the help calls them, as argparse has it."""
        names = tuple(_name(like) for like in self._likes)
        if not self.several:
            members = _members(self._model, self.choices)
            return {"choices": members} if members else {"metavar": names[0]}
        if isinstance(self._model, list) or not self._model:
            return {"nargs": "*", "metavar": names[-1]}
        return {"nargs": len(names), "metavar": names}

    @property
    def help(self) -> str:
        held = self.stored(self.default)
        held = " ".join(map(str, held)) if isinstance(held, list) else held
        return self.note if held in (None, "") else f"{self.note} (default {held})".strip()

    def read(self, words: bool | str | Iterable[str]) -> object:
        """Return the value that a word, several for a tuple or list, or a flag stands for.

        Raises
        ------
        InputError
            For a word that cannot be read like the default.
        """
        return self._each(words, self.flag, _from_json if isinstance(words, bool) else _from_text)

    def stored(self, value: object) -> object:
        """Return a value as JSON holds it."""
        return (
            [_plain(each) for each in value] if isinstance(value, tuple | list) else _plain(value)
        )

    def restored(self, held: object, where: str) -> object:
        """Return the value that JSON holds; an error says that it is held at `where`.

        Raises
        ------
        InputError
            For a value of another kind than the default.
        """
        if held is None and self.default is None:
            return None
        if self.several != isinstance(held, list):
            raise checks.InputError(
                f"{where}: {self.name} is {checks.shown(held)} where the script takes "
                f"{type(self._model).__name__}, restore it from a copy or run again"
            )
        return self._each(held, f"{where}: {self.name}", _from_json)

    @property
    def _model(self):
        return self.like if self.default is None else self.default

    @property
    def several(self) -> bool:
        """Whether a value is a tuple or a list."""
        return isinstance(self._model, tuple | list)

    @property
    def _likes(self):
        """What the items of a value look like, of a scalar itself; the last one repeats."""
        return list(self._model) or [""] if self.several else [self._model]

    def _each(self, items, what, convert):
        items, likes, model = list(items) if self.several else [items], self._likes, self._model
        if isinstance(model, tuple) and model and len(items) != len(likes):
            raise checks.InputError(f"{what}: {len(items)} values do not fit, give {len(likes)}")
        # where whole numbers stand beside others, each may be of either kind
        either = {int, float} <= {_base(like) for like in likes}
        found = []
        for number, item in enumerate(items):
            like = likes[min(number, len(likes) - 1)]
            try:
                found.append(convert(like, item, either))
                if self.choices and found[-1] not in self.choices:
                    raise ValueError
            except (ValueError, KeyError, TypeError, OverflowError):
                raise checks.InputError(
                    f"{what}: {checks.shown(item)} is not {_sort(like, self.choices)}, give a "
                    f"value such as {_plain(like)}"
                ) from None
        return getattr(type(model), "_make", type(model))(found) if self.several else found[0]


def parameters(function: Callable, required: bool = True) -> dict[str, Option]:
    """Return the options that the parameters of `function` become, with notes of its docstring.

    Parameters
    ----------
    function : callable
    required : bool
        Whether all its parameters must have defaults; those without are left out otherwise.

    Raises
    ------
    InputError
        For a parameter that cannot become an option.
    """
    about, found = notes(function), {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
            if not required:
                continue
            raise checks.InputError(
                f"script: the parameter {name} of setup() has no default or no name, give it both"
            )
        hint = _hint(parameter.annotation)
        found[name] = Option(name, parameter.default, about.get(name, ""), *hint)
    return found


def notes(function: Callable) -> dict[str, str]:
    """Return the first line that a docstring has on every parameter."""
    lines = re.findall(r"^ *(\w+) *: *[^\n]*\n {4,}([^\n]+)", function.__doc__ or "", re.M)
    return dict(lines)


def _hint(hint):
    """Return what values with a type annotation look like, and the choices that it leaves."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _hint(kinds[0])
    if origin is typing.Literal:
        return kinds[0], tuple(kinds)
    if origin in (tuple, list) and ... not in kinds:
        return origin(_hint(kind)[0] for kind in kinds), ()
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint)), ()
    return hint() if hint in (*BASES, pathlib.Path) else "", ()


def _plain(value):
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, pathlib.PurePath):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def _base(like):
    """Return the type of a scalar in JSON, None for what is none."""
    return next((base for base in BASES if isinstance(_plain(like), base)), None)


def _name(like):
    return "path" if isinstance(like, pathlib.PurePath) else _base(like).__name__


def _members(like, choices):
    """Return the words that stand for all values, none where there are more than a few."""
    return [*map(str, choices)] or [*getattr(type(like), "__members__", ())]


def _sort(like, choices):
    members = _members(like, choices)
    return f"one of {', '.join(members)}" if members else BASES[_base(like)]


def _from_text(like, text, either):
    base = _base(like)
    if base is bool:
        held = TRUTH[text.lower()]
    elif either and base is not str:
        held = int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
    else:
        held = base(text)
    return _from_json(like, held, either)


def _from_json(like, held, either):
    base = _base(like)
    if isinstance(like, enum.Enum):
        return type(like)[held]
    if either and base in (int, float):
        like, allowed = held, (int, float)
    else:
        allowed = (float, int) if base is float else (base,)
    if type(held) not in allowed:
        raise TypeError
    return type(like)(held)
