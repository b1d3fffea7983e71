"""Writes 50 batches of one row. Arguments: the log, the writer's name."""

from __future__ import annotations

import sys

from placement.log import LogWriter, TaskRecord

writer = LogWriter(sys.argv[1])
for batch in range(50):
    batch_id = f"{sys.argv[2]}:{batch}"
    writer.append([TaskRecord(run_id="r", source="sweep", function="f", device="cpu", batch_id=batch_id)])
