"""The report: a self-contained HTML page on a log. Nothing in it is loaded from elsewhere."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from placement.errors import LogError
from placement.log import readout
from placement.log.events import read_events
from placement.prediction.selector_file import parse_selector, shipped_selector
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.pairs import labelled, pairs
from profiling.evaluation.evaluate import Evaluation, evaluate_frame
from profiling.report import figure_data
from profiling.report.html_parts import fact, page, tile
from profiling.report.sections import SECTIONS, Findings

TITLE = "CPU or GPU: what the log says"


def write(
    log: str | os.PathLike[str],
    out: str | os.PathLike[str],
    selector: str | os.PathLike[str] | None = None,
    evaluation: Evaluation | None = None,
) -> Path:
    """Reads the log, evaluates it and writes the page to `out`; gives its path.

    selector: a selector file, shown beside the rule; None: the shipped one.  evaluation: of this log, where it has
    been made already. Raises LogError where there is no log or it has no rows, SelectorError on a broken selector file.
    """
    return render(gather(log, selector, evaluation), out)


def gather(
    log: str | os.PathLike[str], selector: str | os.PathLike[str] | None = None, evaluation: Evaluation | None = None
) -> Findings:
    """Everything the page shows, from a log (a path or URI) and a selector file. Arguments as those of `write`."""
    name = "" if selector is None else os.fspath(selector)
    served = parse_selector(Path(name).read_bytes(), name) if name else shipped_selector()
    found = readout(log)
    if found.skipped and not found.files:
        raise LogError(f"the log at {os.fspath(log)} has no readable file: {': '.join(found.skipped[0])}.")
    if not found.table.num_rows:
        raise LogError(f"the log at {os.fspath(log)} has no rows. `placement sweep -o {os.fspath(log)}` writes some.")
    rule = getattr(served, "thresholds", JointThreshold())
    findings = Findings(os.fspath(log), found.table, served, rule, len(found.skipped), events=read_events(log))
    try:
        known_pairs = labelled(pairs(found.table), rule)
    except LogError:
        return findings
    findings = replace(findings, pairs=known_pairs, p_gpu=figure_data.probabilities(served, known_pairs))
    try:
        return replace(findings, evaluation=evaluation or evaluate_frame(known_pairs, rule))
    except LogError as error:  # one class only, or few pairs: the rest of the page is shown
        return replace(findings, no_evaluation=str(error))


def render(findings: Findings, out: str | os.PathLike[str]) -> Path:
    """Writes the page; sections whose data the log does not have say so."""
    sections = [build(findings) for build in SECTIONS]
    text = page(
        TITLE, _summary(findings), _facts(findings), _tiles(findings), "".join(s.html() for s in sections if s), FOOTER
    )
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


FOOTER = (
    "measured: timed or metered on the machine itself. estimated: worked out from a model of that machine, with an "
    "error. emulated: predicted for a configuration that was not there. Labels: the GPU where it is at least T_t times "
    "faster and takes at most T_e times the energy; an unknown energy leaves it to the time. Start-up is not counted. "
    "Figures 1 and 3 to 5 and Table 5 are those of Ju, Kwak and Park, Dynamic Resource Distribution System Considering "
    "CPU-GPU Efficiency in Multimodal Data Processing Environments (2026)."
)


def _summary(findings: Findings) -> str:
    if findings.pairs is None:
        return f"{findings.table.num_rows:,} rows, and no piece of work that ran on both a CPU and a GPU of one config."
    pairs = findings.pairs
    return (
        f"{len(pairs):,} pieces of work, each on a CPU and on a GPU of the same config, over "
        f"{pairs['config'].nunique()} configs and {pairs['workload'].nunique()} workloads. The GPU is the answer for "
        f"{(pairs['label'] == 'gpu').mean():.0%} of them: at least {findings.rule.speedup:g} times faster, at most "
        f"{findings.rule.energy_ratio:g} times the energy."
    )


def _facts(findings: Findings) -> str:
    facts = [
        ("log", findings.log),
        ("rows", f"{findings.table.num_rows:,}"),
        ("selector", findings.selector.version),
        ("thresholds", f"speed-up ≥ {findings.rule.speedup:g}, energy ratio ≤ {findings.rule.energy_ratio:g}"),
        ("written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]
    if findings.skipped:
        facts.insert(2, ("files skipped", str(findings.skipped)))
    return "".join(fact(*entry) for entry in facts)


def _tiles(findings: Findings) -> str:
    where = figure_data.placed(findings.table)
    tasks = int(where["cpu"].sum() + where["gpu"].sum())
    tiles = []
    if tasks:
        tiles.append(tile(f"{tasks:,}", f"tasks placed, {where['gpu'].sum() / tasks:.0%} of them on a GPU"))
    if findings.evaluation is None:
        return "".join(tiles)
    selector, gpu_only = (findings.evaluation.policies[name] for name in ("selector", "gpu_only"))
    tiles.append(
        tile(f"{selector.throughput / gpu_only.throughput:.0%}", "of GPU-only's throughput, with the selector")
    )
    tiles.append(tile(f"{selector.gpu_reduction:.0%}", "less GPU time than GPU-only"))
    learner = findings.evaluation.learner
    split, score = min(findings.evaluation.splits.items(), key=lambda entry: getattr(entry[1], learner))
    told = f"accuracy, {figure_data.SPLIT_TITLES.get(split, split)}; the majority class has {score.majority:.1%}"
    return "".join([*tiles, tile(f"{getattr(score, learner):.1%}", told)])
