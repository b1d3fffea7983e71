"""Whatever bytes lie in the log's folder, reading it skips them by name or refuses by LogError, and nothing else."""

import random

import pytest

from placement.errors import LogError
from placement.log import LogWriter, TaskRecord, readout


def mutations(whole, number, seed):
    """Random bytes; random bytes between Parquet's magics; real files with bytes flipped, cut out or doubled."""
    chance = random.Random(seed)
    for _ in range(number):
        kind = chance.randrange(5)
        if kind == 0:
            yield chance.randbytes(chance.randrange(200))
        elif kind == 1:
            footer = chance.randbytes(chance.randrange(1, 100))
            yield b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
        elif kind == 2:
            data = bytearray(whole)
            for _ in range(chance.randrange(1, 20)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            yield bytes(data)
        elif kind == 3:
            data = bytearray(whole)  # the footer, where the structure is
            for _ in range(chance.randrange(1, 4)):
                data[-chance.randrange(1, min(len(data), 6000))] = chance.randrange(256)
            yield bytes(data)
        else:
            at, size = chance.randrange(len(whole)), chance.randrange(1, 500)
            yield whole[:at] + whole[at + size :] if chance.random() < 0.5 else whole[:at] + whole[at - size :]


def fuzz(folder, number, seed):
    rows = [TaskRecord(run_id="r", source="sweep", function=f"f{i}", device="cpu", compute_s=i / 7) for i in range(50)]
    with open(LogWriter(folder / "good").append(rows), "rb") as good:
        whole = good.read()
    victim = folder / "bad" / "victim.parquet"
    victim.parent.mkdir()
    outcomes = {"skipped": 0, "refused": 0, "read": 0}
    for data in mutations(whole, number, seed):
        victim.write_bytes(data)
        try:
            found = readout(victim.parent)
        except LogError:  # a version number that was changed into a newer one
            outcomes["refused"] += 1
            continue
        outcomes["skipped" if found.skipped else "read"] += 1
        assert len(found.files) + len(found.skipped) == 1
    return outcomes


def test_three_hundred_broken_files(tmp_path):
    outcomes = fuzz(tmp_path, 300, seed=1)
    assert outcomes["skipped"] > 200
    assert outcomes["refused"] < 10


@pytest.mark.slow
@pytest.mark.soak
def test_ten_thousand_broken_files(tmp_path):
    outcomes = fuzz(tmp_path, 10_000, seed=2)
    assert outcomes["skipped"] > 7_000
