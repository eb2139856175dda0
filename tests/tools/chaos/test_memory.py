"""The scales of `make chaos` find a leak, and blame nobody else."""

import subprocess
import sys

import pytest

from tools.chaos.memory import PARTS, TOLERANCE_BYTES, grown, weigh

# More than the tolerance in all, and what a part of the work may reasonably touch.
PART_BYTES = TOLERANCE_BYTES * 2 // PARTS
WORKER = """
import sys
kept, part, size = [], 0, int(sys.argv[2])
for _ in sys.stdin:
    part += 1
    block = bytearray(size)
    if sys.argv[1] == "leak" or (sys.argv[1] == "cache" and part <= 2):
        kept.append(block)
    del block
    print(flush=True)
"""


@pytest.mark.parametrize(("habit", "found"), [("leak", True), ("cache", False), ("lets go", False)])
def test_only_a_process_that_never_lets_go_is_blamed(habit, found):
    command = [sys.executable, "-c", WORKER, habit, str(PART_BYTES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        weights = []
        for _ in range(PARTS):
            process.stdin.write("work\n")
            process.stdin.flush()
            process.stdout.readline()
            weights.append(weigh({habit: process.pid})[habit])
        process.stdin.close()
    assert bool(grown({habit: weights})) is found, weights


def test_it_says_who_grew_and_how():
    weights = {"scoring": [100 << 20, 110 << 20, 121 << 20], "assessment": [90 << 20, 90 << 20, 120 << 20]}
    assert grown(weights) == ["scoring grew with every part of the work: 100.0, 110.0, 121.0 MiB"]
