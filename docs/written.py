"""Pages of the site that are made from the code: public names, commands, limits.

``python docs/written.py FOLDER`` writes them; the site does so by itself.
"""

import inspect
import pathlib
import sys

import wgf
from wgf import _ROOMS
from wgf.command import cli
from wgf.functional import forms
from wgf.stepping import Method

TITLES = {
    "driver": "Solving",
    "flows": "Equations",
    "functional": "Functionals",
    "measures": "Measures and meshes",
    "eulerian": "Methods for densities",
    "lagrangian": "Methods for particles",
    "record": "Solutions and stored runs",
    "comparison": "Comparing runs",
    "distances": "Distances",
    "theory": "Certificates",
    "command": "Sweeps",
    "checks": "Errors and warnings",
}
FORMS = {
    forms.Composed: "loss of the model output (`Risk`)",
    forms.Separable: "penalty along axes (`L1`, `Ridge`)",
    forms.Given: "potential (`Potential`)",
    forms.Diffusion: "entropy (`Entropy`)",
    forms.Power: "power entropy (`PowerEntropy`)",
    forms.Local: "local energy of the user (`LocalEnergy`)",
    forms.Pairwise: "interaction (`Interaction`)",
    forms.General: "general term (`Term`)",
}


def write(folder: pathlib.Path) -> None:
    """Write ``reference.rst``, ``commands.md`` and ``limits.md`` into a folder."""
    folder.mkdir(exist_ok=True)
    for name, text in (
        ("reference.rst", reference()),
        ("commands.md", commands()),
        ("limits.md", limits()),
    ):
        file = folder / name
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


def reference() -> str:
    """Return a page with every public name, by wing."""
    names = {title: [] for title in TITLES.values()}
    for room, public in _ROOMS.items():
        names[TITLES[room.partition(".")[0]]] += public
    lines = ["Reference", "=========", ""]
    lines += ["Every public name, with its equation, shapes, errors and an example.", ""]
    for title, public in names.items():
        lines += [title, "-" * len(title), "", ".. currentmodule:: wgf", ""]
        lines += [".. autosummary::", "   :toctree: api", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in sorted(public)] + [""]
    return "\n".join(lines)


def commands() -> str:
    """Return a page with the help of every command, as the command line prints it."""
    parser, verbs = cli._commands()
    lines = ["# Command line", "", "What `wgf COMMAND --help` prints, made from the parser.", ""]
    lines += ["A script's own options follow `wgf run SCRIPT --help`.", ""]
    for name, one in {"": parser, **verbs}.items():
        lines += [f"## `{f'wgf {name}'.strip()}`"]
        lines += ["", "```text", one.format_help().rstrip(), "```", ""]
    return "\n".join(lines)


def _methods():
    """Return one of each public method, those for densities first."""
    public = [getattr(wgf, name) for name in wgf.__all__]
    found = []
    for one in public:
        if isinstance(one, type) and issubclass(one, Method):
            needed = inspect.signature(one).parameters.values()
            found.append(one(*(1 for given in needed if given.default is given.empty)))
    return sorted(found, key=lambda one: (one.measure, one.flow.__name__, _name(one)))


def _name(method):
    return type(method).__name__


def limits() -> str:
    """Return a page with what each method takes and what it refuses, read from the methods."""
    lines = [
        "# Limits",
        "",
        "Which terms each method takes, made from what the methods declare. A method refuses every",
        "other combination in one sentence before it computes anything.",
        "",
    ]
    methods = _methods()
    for measure in ("density", "particles"):
        chosen = [method for method in methods if method.measure == measure]
        lines += [f"## {'Density on a mesh' if measure == 'density' else 'Particles'}", ""]
        lines += ["| term | " + " | ".join(f"`{_name(m)}`" for m in chosen) + " |"]
        lines += ["|---" * (len(chosen) + 1) + "|"]
        row = [f"`{m.flow.__name__}`" for m in chosen]
        lines += ["| *flow* | " + " | ".join(row) + " |"]
        for form, title in FORMS.items():
            row = ["yes" if issubclass(form, m.forms) else "refused" for m in chosen]
            lines += [f"| {title} | " + " | ".join(row) + " |"]
        row = ["refused" if m.smooth else "yes" for m in chosen]
        lines += ["| kink (`L1`) | " + " | ".join(row) + " |", ""]
    lines += ["## What the sentences say", ""]
    said = {}
    for method in methods:
        for form, text in method.remedies.items():
            what = "a kink" if form == "kink" else FORMS.get(form, form.__name__)
            said.setdefault((what, text), []).append(f"`{_name(method)}`")
    lines += ["| methods | term | answer |", "|---|---|---|"]
    for (what, text), names in sorted(said.items()):
        lines += [f"| {', '.join(names)} | {what} | {text} |"]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
