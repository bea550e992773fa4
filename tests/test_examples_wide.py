"""The examples on wide networks in their quick form: tables, figures, continuing."""

import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"


def run(name, *options):
    command = [sys.executable, str(EXAMPLES / name), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_wide_relu_continues_after_an_interrupt(tmp_path):
    quick = ("--quick", "--repeats", 1, "--widths", 150, 600)
    first = run("wide_relu.py", tmp_path, *quick)
    assert first.returncode == 0, first.stderr
    assert "lambda_0" in first.stdout and "moved: slope -0." in first.stdout
    assert (tmp_path / "wide_relu.png").stat().st_size > 10_000
    results = tmp_path / "results.jsonl"
    lines = results.read_text().splitlines()
    assert len(lines) == 3
    # a line cut short is dropped and made again, the same but for the time it took
    results.write_text("\n".join(lines[:2]) + "\n" + lines[2][:100])
    again = run("wide_relu.py", tmp_path, *quick)
    assert again.returncode == 0, again.stderr
    remade = results.read_text().splitlines()
    assert remade[:2] == lines[:2]
    assert remade[2].split('"loss"')[0] == lines[2].split('"loss"')[0]
    assert len(remade) == 3


def test_wide_relu_refuses_the_results_of_another_size(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"samples": 7}\n')
    refused = run("wide_relu.py", tmp_path, "--quick")
    assert refused.returncode != 0
    assert "choose another folder" in refused.stderr


@pytest.mark.slow
def test_lazy_crossover_draws_its_picture(tmp_path):
    done = run("lazy_crossover.py", tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    assert "loss of the linear system" in done.stdout
    assert (tmp_path / "lazy_crossover.png").stat().st_size > 10_000
