"""Runs are data from others: opening, checking and resuming one executes nothing stored in it."""

import ast
import json
import pathlib
import sys

import fault_kit
import pytest

import wgf
from wgf.command import cli
from wgf.record import store

PACKAGE = pathlib.Path(wgf.__file__).parent
SCRIPT = str(fault_kit.HERE / "fault_script.py")
CODE_IN_DATA = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__", "exec_module", "run_path", "system", "popen"}
EVENTS = ("exec", "compile", "pickle.find_class", "marshal.loads", "os.system", "subprocess.Popen")


def called(node):
    """Return the last part of the name that a call names, or None."""
    return getattr(node.func, "attr", getattr(node.func, "id", None))


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_way_from_data_to_code(path):
    tree = ast.parse(path.read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in CODE_IN_DATA]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in CODE_IN_DATA:
            found.append(node.module)
        if isinstance(node, ast.Call):
            if called(node) in CALLS and ast.unparse(node.func) != "re.compile":
                found.append(ast.unparse(node.func))
            found += [key.arg for key in node.keywords if key.arg == "allow_pickle"]
    # the one place that runs a file runs the script that the user names; PyTorch compiles a
    # function of the module itself
    allowed = {"runner.py": ["spec.loader.exec_module"], "peers.py": ["package.compile"]}
    assert found == allowed.get(path.name, [])


class Watch:
    """Notes what the interpreter executes while it is on; a hook cannot be taken away again."""

    def __init__(self):
        self.on, self.seen = False, []
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if self.on and event in EVENTS:
            self.seen.append((event, str(arguments[:1])[:80]))

    def __enter__(self):
        self.on = True

    def __exit__(self, *error):
        self.on = False


def test_reading_a_run_executes_nothing(tmp_path, capsys):
    path = tmp_path / "run"
    argv = ["run", SCRIPT, "--quiet", "--method", "mesh", "--no-plot", "--out", str(path)]
    assert cli.status(argv=argv) == 0

    def read():
        run = wgf.open_run(path)
        store.summary(run)
        run.restart()
        assert len(run.snapshots[:]) == 5 and store.verify(path) == []

    # what is loaded on first use is not what the run holds
    read()
    watch = Watch()
    with watch:
        read()
    assert watch.seen == []


def test_resuming_takes_the_script_that_is_named(tmp_path, capsys):
    path = tmp_path / "run"
    argv = ["run", SCRIPT, "--quiet", "--method", "mesh", "--no-plot", "--out", str(path)]
    assert cli.status(argv=argv) == 0
    trap = tmp_path / "trap.py"
    trap.write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'sprung')!r}).touch()\n")
    options = json.loads((path / "options.json").read_text())
    for name in (str(trap), "trap", f"{path}/../trap.py"):
        options["script"] = name
        (path / "options.json").write_text(json.dumps(options))
        assert cli.status(argv=["resume", str(path), SCRIPT, "--quiet"]) == 0
    options["values"]["activation"] = "__import__('os').system('false')"
    (path / "options.json").write_text(json.dumps(options))
    assert cli.status(argv=["resume", str(path), SCRIPT, "--quiet"]) == 2
    assert "is unknown" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(argv=["resume", str(path)])
    assert "script" in capsys.readouterr().err
    assert not (tmp_path / "sprung").exists()
