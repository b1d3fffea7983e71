"""Tables of a held-out evaluation for the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from profiling.evaluation.holdout import Result
from profiling.evaluation.holdout_scores import DeviceScore
from profiling.learning.history_replay import NOISE, RUNS

NAMES = {
    "majority": "majority class", "flops_rule": "FLOPs rule", "logistic": "logistic regression",
    "boosted_trees": "boosted trees", "paper": "paper's net", "ratio": "ratio (ours)",
}  # fmt: skip


def show(result: Result, console: Console) -> None:
    """Prints the learners, then each device held out."""
    console.print(learner_table(result))
    console.print(device_table(result))
    best = result.learners[result.default]
    console.print(f"Default by this evidence: {NAMES[result.default]}; its worst: {best.worst} "
                  f"({best.by_device[best.worst].accuracy:.3f}).")  # fmt: skip


def title(result: Result) -> str:
    """The name of the part held out, the sizes and the number of seeds."""
    of = f" of {', '.join(result.sources)}" if result.sources else ""
    probes = f", {result.probes} probe tasks on it" if result.probes else ""
    return (
        f"Unseen {result.holdout}{of}{probes}: {result.rows} pairs, {result.rows_gpu / result.rows:.1%} GPU at "
        f"T_t = {result.rule.speedup:g}; mean over {len(result.seeds)} seeds"
    )


def learner_table(result: Result) -> Table:
    """One row a learner. oracle: its throughput as a share of the oracle's."""
    table = Table(title=title(result), title_justify="left")
    table.add_column("learner", no_wrap=True)
    for name in ("accuracy ± seeds", "balanced", "AUC", "Brier", "calib.", "regret s", "regret J", "oracle"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = {NAMES[name]: one for name, one in result.learners.items()}
    if result.history is not None:
        shown[f"History, {RUNS} runs *"] = result.history
        table.caption = (
            f"* knows tasks by name: {NAMES[result.default]} after {RUNS} runs of the same task on each device, "
            f"replayed with {NOISE:.0%} noise."
        )
    for name, one in shown.items():
        if one is result.history:
            table.add_section()
        table.add_row(
            name, f"{one.accuracy:.4f} ± {one.accuracy_std:.4f}", f"{one.balanced_accuracy:.3f}",
            _known(one.roc_auc), f"{one.brier:.4f}", f"{one.calibration_error:.3f}", f"{one.regret_seconds:.2g}",
            _known(one.regret_joules), f"{one.oracle_fraction:.3f}",
        )  # fmt: skip
    return table


def device_table(result: Result) -> Table:
    """Accuracy and balanced accuracy of each learner on each thing held out; the worst of each is marked."""
    table = Table(title="accuracy/balanced accuracy on each; * the learner's worst", title_justify="left")
    table.add_column("told by config" if result.holdout in ("workload", "random") else "held out", overflow="fold")
    table.add_column("pairs", justify="right")
    for name in result.learners:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    some = next(iter(result.learners.values()))
    for device in some.by_device:
        cells = [_cell(one.by_device[device], device == one.worst) for one in result.learners.values()]
        table.add_row(device, str(some.by_device[device].rows), *cells)
    return table


def _cell(one: DeviceScore, worst: bool) -> str:
    figures = "/".join(f"{value:.3f}".removeprefix("0") for value in (one.accuracy, one.balanced_accuracy))
    return figures + ("*" if worst else " ")


def _known(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
