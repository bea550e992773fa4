"""The house: imports point down, heavy packages stay in their rooms, starting is fast."""

import ast
import graphlib
import pathlib
import re
import subprocess
import sys

import pytest

import wgf

ROOT = pathlib.Path(wgf.__file__).parent
FLOORS = [
    {"checks"},
    {"parallel"},
    {"measures"},
    {"functional"},
    {"flows"},
    {"stepping"},
    {"eulerian", "lagrangian"},
    {"distances"},
    {"theory"},
    {"record"},
    {"driver"},
    {"plot"},
    {"comparison"},
    {"view"},
    {"command"},
    {"__main__"},
]
FLOOR = {room: height for height, floor in enumerate(FLOORS) for room in floor}
ROOMS = {
    "numba": ("eulerian/kernels.py", "lagrangian/kernels.py"),
    "h5py": ("record/layout.py",),
    "matplotlib": tuple(
        f"plot/{name}.py"
        for name in (
            "files",
            "film",
            "numbers",
            "panels",
            "pixels",
            "sheets",
            "single",
            "variations",
            "views",
        )
    ),
    "plotly": ("view/document.py",),
    "argparse": ("command/cli.py",),
    "mpi4py": ("parallel/ranks.py", "parallel/engines.py"),
}


def modules():
    return [path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"]


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Return the dotted names that a module imports anywhere, functions included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    here = room(path)
    assert here in FLOOR, f"{here} stands on no floor: add it to FLOORS"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "wgf" or len(parts) == 1 or parts[1] == "__version__":
            continue
        there = parts[1]
        assert there in FLOOR, f"{path}: imports {name} through the package"
        if there != here:
            assert FLOOR[there] <= FLOOR[here], f"{path}: {here} imports {there}, which is above"


@pytest.mark.parametrize("package", ROOMS)
def test_heavy_packages_stay_in_their_rooms(package):
    for path in modules():
        where = str(path.relative_to(ROOT))
        if any(name.split(".")[0] == package for name in imports(path)):
            allowed = where in ROOMS[package] or (
                package == "numba" and where.endswith("_kernels.py")
            )
            assert allowed, f"{where} imports {package}"


def edges():
    """Return the modules of the package that every module imports, functions included."""
    names = {
        ".".join(("wgf", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for path in ROOT.rglob("*.py")
    }
    found = {}
    for path in modules():
        here = ".".join(("wgf", *path.relative_to(ROOT).with_suffix("").parts))
        here = here.removesuffix(".__init__")
        found[here] = set()
        for name in imports(path):
            if name.split(".")[0] == "wgf":
                # `from wgf.room import thing` imports the room unless the thing is a module
                there = name if name in names else name.rpartition(".")[0]
                if there in names - {"wgf", here}:
                    found[here].add(there)
    return found


def test_no_module_imports_itself_through_others():
    # raises CycleError with the modules of a cycle
    order = list(graphlib.TopologicalSorter(edges()).static_order())
    assert "wgf.driver" in order


def test_kernels_import_kernels_alone():
    for here, others in edges().items():
        if here.endswith("kernels"):
            # and who shares their loops among threads, of which they compile nothing
            others = others - {"wgf.parallel.threads"}
            assert all(there.endswith("kernels") for there in others), here


def test_the_house_stays_small():
    flat = sorted(path.name for path in ROOT.glob("*.py"))
    assert len(flat) <= 6, flat
    long = {str(p.relative_to(ROOT)): n for p in ROOT.rglob("*.py") if (n := length(p)) > 450}
    assert not long


def length(path):
    return len(path.read_text().splitlines())


RANKS = {"ranks", "Ranks", "Serial", "launched", "speaks"}


def knows_ranks(path):
    """Return whether the code of a module, not its prose, asks the ranks for anything."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            asks = isinstance(node, ast.Attribute) and ast.unparse(node) == "parallel.world"
            if name in RANKS or asks:
                return True
    return any(name.startswith("wgf.parallel.ranks") for name in imports(path))


def test_few_modules_know_the_ranks():
    # methods hand the world on, of which slabs and partitions answer for them
    knowing = sorted(
        str(path.relative_to(ROOT))
        for path in modules()
        if room(path) != "parallel" and knows_ranks(path)
    )
    assert len(knowing) <= 6, knowing


def test_measures_answer_for_themselves():
    asked = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"isinstance\(.*\b(Density|Particles)\b", line)
    ]
    assert len(asked) <= 12, asked


def loaded_by(code):
    """Return the modules loaded after running `code` in a fresh interpreter."""
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return set(result.stdout.split("\n"))


def test_import_is_light():
    loaded = loaded_by("import wgf")
    assert "wgf" in loaded
    assert not loaded & {"numba", "h5py", "matplotlib", "scipy", "numpy", "argparse"}


def test_help_is_light():
    code = (
        "from wgf.command import cli\n"
        "try:\n    cli.main(argv=['--help'])\nexcept SystemExit:\n    pass"
    )
    loaded = loaded_by(code)
    assert "wgf.command.cli" in loaded
    assert not loaded & {"numba", "h5py", "matplotlib", "scipy"}


def test_every_public_name_is_found_and_documented():
    for name in wgf.__all__:
        assert (getattr(wgf, name).__doc__ or "").strip(), name
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = wgf.nothing_here
