"""An Explanation as HTML for notebooks: the decision, the candidates with bars, the tests, and what would turn it.

No scripts and nothing from outside; colours follow the notebook's own, light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from placement.scheduling.considered_candidate import ConsideredCandidate
from placement.scheduling.decision import Decision
from placement.scheduling.explanation_text import NOTE, memory, with_factor
from placement.scheduling.threshold_tests import ThresholdTests

CPU, GPU = "#2f6fb3", "#2a8f5d"
STYLE = f"""
.placement-explanation {{ font: 13px/1.45 system-ui, sans-serif; color: inherit }}
.placement-explanation .chosen {{ font-size: 15px; margin: 0 0 .2em }}
.placement-explanation .chosen b {{ color: #fff; padding: .1em .55em; border-radius: .3em; margin-right: .5em }}
.placement-explanation .cpu {{ background: {CPU} }} .placement-explanation .gpu {{ background: {GPU} }}
.placement-explanation .by, .placement-explanation .note {{ opacity: .65; margin: 0 0 .7em; font-size: 12px }}
.placement-explanation table {{ border-collapse: collapse; color: inherit; margin: 0 0 .7em; font-size: 13px }}
.placement-explanation th {{ text-align: left; font-weight: 600; border-bottom: 1.5px solid currentColor }}
.placement-explanation th, .placement-explanation td {{ padding: .25em .8em .25em 0; vertical-align: middle;
  white-space: nowrap; background: none; text-align: left }}
.placement-explanation td.number, .placement-explanation th.number {{ text-align: right;
  font-variant-numeric: tabular-nums }}
.placement-explanation tr {{ border-bottom: 1px solid rgba(128, 128, 128, .25) }}
.placement-explanation tr.taken {{ background: rgba(42, 143, 93, .14); font-weight: 600 }}
.placement-explanation tr.no {{ opacity: .5 }}
.placement-explanation td.why {{ font-weight: 400; white-space: normal; min-width: 17em }}
.placement-explanation .bar {{ display: inline-block; height: .55em; border-radius: .15em; min-width: 2px;
  margin-right: .5em }}
.placement-explanation .bars {{ width: 6.5em; padding-right: .2em }}
.placement-explanation ul {{ margin: .1em 0 .7em; padding-left: 1.2em }} .placement-explanation li {{ margin: .1em 0 }}
"""
WIDEST_EM = 6.0
HEADS = (
    ("config", ""), ("device", ""), ("CPUs", "number"), ("P(GPU)", "number"), ("", "bars"), ("seconds", "number"),
    ("", "bars"), ("joules", "number"), ("idle", "number"), ("wait", "number"), ("GPU memory", "number"), ("from", ""),
    ("why", "why"),
)  # fmt: skip
"""(Head, class) of each column; those without any content are left out."""


def html(
    d: Decision, considered: Sequence[ConsideredCandidate], tests: Sequence[ThresholdTests], turns: Sequence[str]
) -> str:
    """The explanation, with its style."""
    versions = f"policy {d.policy}, selector {d.selector_version}, snapshot {d.snapshot_version}"
    age = "queues not known" if d.backlog_age_s is None else f"queues of {d.backlog_age_s:.1f} s ago"
    compared = "" if d.comparison is None else f"<p class='note'>compared: {escape(str(d.comparison))}</p>"
    return (
        f"<style>{STYLE}</style><div class='placement-explanation'>"
        f"<p class='chosen'><b class='{d.device}'>{d.device.upper()}</b>{escape(d.reason)}</p>"
        f"<p class='by'>{escape(versions)}, {age}</p>"
        f"{_table(considered)}{compared}{_tests(tests)}{_turns(turns)}</div>"
    )


def _table(rows: Sequence[ConsideredCandidate]) -> str:
    if not rows:
        return ""
    most = [max((v for row in rows if (v := getattr(row, name))), default=0.0) for name in ("seconds", "joules")]
    cells = [_cells(row, most[0], most[1]) for row in rows]
    shown = [i for i in range(len(HEADS)) if any(row[i] for row in cells)]
    sources = {row.provenance for row in rows if row.provenance}
    if len(sources) == 1:
        shown.remove(HEADS.index(("from", "")))
    note = f"estimates: {escape(sources.pop())}; " if len(sources) == 1 else ""
    heads = "".join(f"<th class='{HEADS[i][1]}'>{HEADS[i][0]}</th>" for i in shown)
    body = "".join(
        f"<tr class='{_kind(row)}'>" + "".join(f"<td class='{HEADS[i][1]}'>{each[i]}</td>" for i in shown) + "</tr>"
        for row, each in zip(rows, cells, strict=True)
    )
    note += f"{NOTE.replace('x:', '&times;:')}; idle: of the joules, drawn at rest"
    return f"<table><tr>{heads}</tr>{body}</table><p class='note'>{note}</p>"


def _kind(row: ConsideredCandidate) -> str:
    return "taken" if row.taken else "" if row.feasible else "no"


def _cells(row: ConsideredCandidate, most_seconds: float, most_joules: float) -> tuple[str, ...]:
    """The cells of a candidate, as HEADS."""
    idle, basis = row.basis.idle_watts, row.basis
    return (
        escape(row.config), row.device.upper(), f"{row.cpus:g}",
        "" if row.estimate is None or row.device == "cpu" else f"{row.estimate.p_gpu:.2f}",
        _bar(row.seconds, most_seconds, row.device), _known(with_factor(row.seconds, "s", basis.seconds_std)),
        _bar(row.joules, most_joules, row.device), _known(with_factor(row.joules, "J", basis.joules_std)),
        "" if idle is None or row.seconds is None else with_factor(idle * row.seconds, "J", None),
        "" if row.wait_s is None else f"{row.wait_s:.3g} s",
        "" if row.memory_bytes is None else f"{memory(row)} GB",
        escape(row.provenance), escape(row.reason),
    )  # fmt: skip


def _bar(value: float | None, most: float, device: str) -> str:
    width = 0.0 if value is None or not most else WIDEST_EM * value / most
    return f"<span class='bar {device}' style='width:{width:.2f}em'></span>" if width else ""


def _known(cell: str) -> str:
    return "" if cell == "-" else cell.replace(" x", " &times;")


def _tests(tests: Sequence[ThresholdTests]) -> str:
    if not tests:
        return ""
    items = "".join(f"<li>{_verdicts(escape(str(one)))}</li>" for one in tests)
    return f"<div>The joint threshold's tests</div><ul>{items}</ul>"


def _verdicts(text: str) -> str:
    for word, colour in (("yes", GPU), ("no", "#c2453d")):
        text = text.replace(f": {word}", f": <b style='color:{colour}'>{word}</b>")
    return text


def _turns(turns: Sequence[str]) -> str:
    return f"<div>What would turn it</div><ul>{''.join(f'<li>{escape(t)}</li>' for t in turns)}</ul>" if turns else ""
