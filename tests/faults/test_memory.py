"""Too little memory: one sentence, exit 1, and what was written is still there."""

import json
import sys

import fault_kit
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space")


def limited(tmp_path, limits):
    done = fault_kit.worker("memory", tmp_path, *limits, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(limits)
    for each in found:
        assert each["temporaries"] == 0 and each["kept"] == each["written"], each
        assert each["status"] in (0, 1), each
        if each["status"]:
            assert fault_kit.sentence(each["said"]).startswith("memory: "), each
    return found


def test_too_little_memory(tmp_path):
    begin, middle = limited(tmp_path, [5, 50])
    assert begin["status"] == middle["status"] == 1
    assert begin["kept"] == 0 and 0 < middle["kept"] < 41


@pytest.mark.slow
def test_many_limits_of_the_memory(tmp_path, figure):
    found = limited(tmp_path, [1, *range(4, 120, 4)])
    short = [each for each in found if each["status"]]
    kept = sum(each["kept"] for each in short)
    assert len(short) > 20 and any(each["status"] == 0 for each in found)
    figure(
        f"{len(short)} runs short of memory: one sentence and exit 1 each, none ended by a "
        f"signal, all of the {kept} snapshots written are intact"
    )
