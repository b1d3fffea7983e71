"""A writer that has finished ten runs and sent some of them; it waits to be killed. Argument: the folder."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from placement.log.lost_records import Counts

counts = Counts(Path(sys.argv[1]) / "node", "dead")
for _ in range(10):
    counts.added()
counts.sending(1, 4)
counts.acknowledged(4)
counts.sending(2, 3)
print("ready", flush=True)
time.sleep(600)
