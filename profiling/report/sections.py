"""The sections of the report; a section is None where the log has no data for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from placement.prediction.selector import Selector
from placement.spec.joint_threshold import JointThreshold
from profiling.report import batch_rates, figure_data, plots
from profiling.report.html_parts import Section, TableCell, badges, number
from profiling.report.learning import learning_section

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from profiling.evaluation.evaluate import Evaluation

POLICY_COLUMNS = {
    "throughput": ("throughput", ".2f"),
    "energy_efficiency": ("energy efficiency", ".2f"),
    "selection_accuracy": ("selection accuracy", ".1%"),
    "gpu_reduction": ("GPU usage reduction", ".1%"),
}


@dataclass(frozen=True)
class Findings:
    """The data of a report.

    log: path or URI of the rows.  table: all its rows.  skipped: files of it that could not be read.
    pairs: `dataset.labelled`, None where the log has no pairs.  p_gpu: the selector's P(GPU) of each pair.
    evaluation: of those pairs; where there is none, no_evaluation says why.  events: of learning.
    """

    log: str
    table: pa.Table
    selector: Selector
    rule: JointThreshold = field(default_factory=JointThreshold)
    skipped: int = 0
    pairs: pd.DataFrame | None = None
    p_gpu: Any = None
    evaluation: Evaluation | None = None
    no_evaluation: str = ""
    events: Sequence[Mapping[str, Any]] = ()


def _placed(findings: Findings) -> Section | None:
    where = figure_data.placed(findings.table)
    if where.empty:
        return None
    rows = findings.table.filter(_production(findings.table))
    head = [
        TableCell("task"),
        TableCell("kind"),
        TableCell("CPU", number=True),
        TableCell("GPU", number=True),
        TableCell("nodes"),
        TableCell("reason"),
    ]
    body = [
        [
            TableCell(w.workload),
            TableCell(w.kind or "–"),
            number(w.cpu, ",d"),
            number(w.gpu, ",d"),
            TableCell(w.configs),
            TableCell(_trouble(w)),
        ]
        for w in where.itertuples()
    ]
    return Section(
        "What went where",
        "The tasks that were placed in production, by function: the device that the policy in service chose, the "
        "kinds of node they ran on, and the commonest reason. Preprocessing without a GPU implementation is never "
        "sent to one.",
        badges(times=figure_data.provenance(rows["time_provenance"].to_pylist())),
        [("", "Stacked bars: tasks of each function by the device they ran on.", plots.placed(where))],
        [head, *body],
    )


def _batches(findings: Findings) -> Section | None:
    return batch_rates.section(findings.table)


def _learning(findings: Findings) -> Section | None:
    return learning_section(findings.events)


def _production(table: pa.Table) -> Any:
    import pyarrow.compute as pc

    return pc.equal(table["source"], "production")


def _trouble(row: Any) -> str:
    trouble = [f"{count} {what}" for count, what in ((row.fallbacks, "fell back"), (row.errors, "failed")) if count]
    return "; ".join([row.reason, *trouble])


def _pair_badges(pairs: pd.DataFrame) -> str:
    return badges(
        times=figure_data.provenance(pairs["time_provenance"]),
        energies=figure_data.provenance(pairs["energy_provenance"]),
    )


def _share(findings: Findings) -> Section | None:
    if findings.pairs is None:
        return None
    share = figure_data.gpu_share(findings.pairs, findings.p_gpu)
    return Section(
        "Share of the work for the GPU, by config",
        f"The paper's Fig. 1, where the share rises with the GPU's performance; {figure_data.trend(share)}. "
        "Solid: the joint threshold on the pairs themselves. Hatched: what the selector shown would send there; if it "
        "was refitted from this log, it was fitted on these pairs.",
        _pair_badges(findings.pairs),
        [("", "Bars: the share of pairs whose answer is the GPU, by config.", plots.gpu_share(share))],
    )


def _plane(findings: Findings) -> Section | None:
    if findings.pairs is None:
        return None
    points = figure_data.threshold_points(findings.pairs)
    return Section(
        "The threshold plane",
        "Every pair by how much faster the GPU is and how much energy it takes. Only the lower right corner is the "
        "GPU's. Marks along the lower edge have no known energy: the time alone decides them.",
        _pair_badges(findings.pairs),
        [("", "Scatter: speed-up against energy ratio of every pair.", plots.threshold_plane(points, findings.rule))],
    )


def _policies(findings: Findings) -> Section | None:
    if findings.evaluation is None:
        return None if findings.pairs is None else Section("Policies side by side", findings.no_evaluation, "")
    scores = {name: asdict(score) for name, score in findings.evaluation.policies.items()}
    head = [TableCell("policy"), *(TableCell(title, "", number=True) for title, _ in POLICY_COLUMNS.values())]
    body = [
        [TableCell(name), *(_beside_paper(name, key, score[key], form) for key, (_, form) in POLICY_COLUMNS.items())]
        for name, score in scores.items()
    ]
    return Section(
        "Policies side by side",
        "The paper's Table 5 and the oracle, which takes the rule's answer on the true pair; in grey the paper's own "
        "figures, from its own workloads. Throughput: CPU-only is 1. Energy efficiency: joules of GPU-only over joules "
        "of the policy. Accuracy: agreement with the oracle. The selector is asked about pairs it was not fitted on.",
        _pair_badges(findings.evaluation.frame),
        [("", "Throughput against energy efficiency of each policy.", plots.policies(scores))],
        [head, *body],
        frozenset(i for i, name in enumerate(scores) if name == "selector"),
    )


def _beside_paper(policy: str, key: str, value: float | None, form: str) -> TableCell:
    told = figure_data.PAPER_POLICIES.get(policy, {}).get(key)
    least = "≥ " if (policy, key) in figure_data.PAPER_LEAST else ""
    aside = "" if told is None else f"({least}{format(told, '.0%' if '%' in form else form)})"
    return TableCell(number(value, form).text, aside, number=True)


def _accuracy(findings: Findings) -> Section | None:
    if findings.evaluation is None:
        return None
    splits = findings.evaluation.splits
    titles = ("majority class", "the paper's net", "ratio", "worst fold", "regret, seconds", "regret, joules")
    learner = findings.evaluation.learner
    head = [TableCell("split"), *(TableCell(title, number=True) for title in titles)]
    body = []
    for name, score in splits.items():
        worst, fold = min(score.by_fold.items(), key=lambda entry: entry[1][learner])
        body.append(
            [
                TableCell(figure_data.SPLIT_TITLES.get(name, name)),
                number(score.majority, ".1%"),
                number(score.paper, ".1%"),
                number(score.ratio, ".1%"),
                TableCell(f"{fold[learner]:.1%}", None if name == "random" else worst, number=True),
                number(score.regret_seconds, "+.1%"),
                number(score.regret_joules, "+.1%"),
            ]
        )
    return Section(
        "Accuracy, by what was held out",
        "A random split only shows that the rule is approximated. Leaving out whole configs or whole workloads shows "
        "what carries over to hardware and work not seen. The majority class is what a constant answer reaches. "
        f"Regret and worst fold are those of {learner}, the selector of Table 5. Regret: what the devices taken cost "
        "more than the oracle's, as a share of its sum; below zero where the device against the rule was the cheaper "
        "one.",
        _pair_badges(findings.evaluation.frame),
        [
            (
                "",
                "Points: accuracy of each split beside the majority class.",
                plots.accuracy(findings.evaluation.accuracy),
            )
        ],
        [head, *body],
    )


def _curves(findings: Findings) -> Section | None:
    if findings.evaluation is None:
        return None
    found = figure_data.held_out_curves(findings.evaluation)
    if not found:
        return None
    return Section(
        "How good the probability is",
        "The paper's Fig. 3 to 5, on pairs that were held out. Thin lines: the share of GPU labels, which a coin "
        "reaches. On the diagonal of the middle figure a P(GPU) of 0.8 is right eight times in ten.",
        _pair_badges(findings.evaluation.frame),
        [
            ("Precision and recall", "Precision against recall for each split.", plots.precision_recall(found)),
            ("Calibration", "Observed share of GPU labels against P(GPU).", plots.calibration(found)),
            ("ROC", "True positives against false positives for each split.", plots.roc(found)),
        ],
    )


def _hardware(findings: Findings) -> Section | None:
    if findings.pairs is None:
        return None
    columns = {"cpu_gflops": "CPU GFLOP/s", "gpu_gflops": "GPU GFLOP/s", "gpu_memory_gb": "GPU memory, GB",
               "ram_gb": "RAM, GB", "cpu_tdp_w": "CPU TDP, W", "gpu_tdp_w": "GPU TDP, W"}  # fmt: skip
    head = [
        TableCell("config"),
        TableCell("CPU"),
        TableCell("GPU"),
        *(TableCell(title, number=True) for title in columns.values()),
    ]
    rows = []
    for config, group in findings.pairs.groupby("config", dropna=False):
        names = [next((n for n in group[c] if isinstance(n, str)), "–") for c in ("cpu_name", "gpu_name")]
        means = [number(float(group[c].astype(float).mean()), ",.0f") for c in columns]
        rows.append([TableCell(str(config)), *(TableCell(name) for name in names), *means])
    emulated = figure_data.provenance(
        ["emulated" if e else "measured" for e in findings.pairs.groupby("config")["emulated"].first()]
    )
    return Section(
        "The configs",
        "What each kind of node has. GFLOP/s are of the CPUs granted and of one GPU.",
        badges(configs=emulated),
        rows=[head, *rows],
    )


SECTIONS: tuple[Callable[[Findings], Section | None], ...] = (
    _placed, _batches, _learning, _share, _plane, _policies, _accuracy, _curves, _hardware,
)  # fmt: skip
