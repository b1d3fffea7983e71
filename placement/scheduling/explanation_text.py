"""An Explanation as text: the decision, a table of the candidates, the threshold's tests, and what would turn it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from placement.scheduling.considered_candidate import ConsideredCandidate
from placement.scheduling.decision import Decision
from placement.scheduling.threshold_tests import ThresholdTests

HEADS = ("config", "device", "cpus", "p_gpu", "takes", "joules", "from", "wait", "GB", "taken", "reason")
MAY_BE_UNKNOWN = ("takes", "joules", "from", "wait", "GB")
"""Columns that are left out where nothing is known of any candidate."""
NOTE = "x: a factor either way, in which two of three fall"


def text(
    decision: Decision, considered: Sequence[ConsideredCandidate], tests: Sequence[ThresholdTests], turns: Sequence[str]
) -> str:
    """The whole explanation."""
    lines = [head(decision)]
    if not considered:
        return lines[0]
    table = [cells(row) for row in considered]
    shown = [i for i, name in enumerate(HEADS) if name not in MAY_BE_UNKNOWN or {row[i] for row in table} - {"-"}]
    sources = {row.provenance for row in considered if row.provenance}
    if len(sources) == 1:  # one source of all is told once
        shown.remove(HEADS.index("from"))
    rows = [tuple([row[i] for i in shown]) for row in (HEADS, *table)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(shown))]
    lines += ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if sources:
        lines.append(f"estimates: {next(iter(sources)) if len(sources) == 1 else 'see from'}; {NOTE}")
    lines += [f"test: {one}" for one in tests]
    lines += [f"turns: {', '.join(turns)}"] if turns else []
    return "\n".join(lines)


def head(d: Decision) -> str:
    """The decision, and what was compared."""
    versions = f"selector {d.selector_version}, snapshot {d.snapshot_version}"
    age = "not known" if d.backlog_age_s is None else f"of {d.backlog_age_s:.1f} s ago"
    share = f", {d.gpus:.3g} of a GPU" if 0 < d.gpus < 1 else ""
    line = f"{d.device} ({d.reason}){share} by policy {d.policy}, {versions}, queues {age}"
    return line if d.comparison is None else f"{line}\ncompared: {d.comparison}"


def cells(row: ConsideredCandidate) -> tuple[str, ...]:
    """The cells of a candidate, as HEADS."""
    return (
        row.config, row.device, f"{row.cpus:g}", "-" if row.estimate is None else f"{row.estimate.p_gpu:.3f}",
        with_factor(row.seconds, "s", row.basis.seconds_std), with_factor(row.joules, "", row.basis.joules_std, 2),
        row.provenance or "-", "-" if row.wait_s is None else f"{row.wait_s:.3g} s", memory(row),
        "yes" if row.taken else "", row.reason,
    )  # fmt: skip


def with_factor(value: float | None, unit: str, std: float | None, digits: int = 3) -> str:
    """A quantity and the factor that it may be off by either way: "0.49 s x1.6"; "-" where it is not known."""
    if value is None:
        return "-"
    plain = value < 10**digits
    number = f"{value:.{digits}g}" if plain else f"{value:,.0f}" if value < 1e7 else f"{value:.2e}"
    number += f" {unit}" if unit else ""
    factor = math.exp(min(std, 20.0)) if std else None
    return number + ("" if factor is None else f" x{factor:.1f}" if factor < 10 else f" x{factor:.0f}")


def memory(row: ConsideredCandidate) -> str:
    """GB of device memory that the task needs and gets: "2/24"; "-" where it is not known."""
    if row.memory_bytes is None:
        return "-"
    has = f"{row.memory_bytes / 1e9:.3g}"
    return has if row.needs_bytes is None else f"{row.needs_bytes / 1e9:.2g}/{has}"
