"""`placement refit` and `placement evaluate`: a selector fitted to a log, and the accuracy of learners on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from placement.errors import OptionError
from profiling.cli.options import Address, EnergyRatio, Json, Log, Seed, Speedup, file_to_write
from profiling.cli.session import connect
from profiling.learning.registry import DEFAULT


def refit_command(
    log: Log,
    output: Annotated[
        str, typer.Option("--output", "-o", callback=file_to_write, help="The selector file to write, a path or URI.")
    ],
    speedup: Speedup = 2.0,
    energy_ratio: EnergyRatio = 1.5,
    epochs: Annotated[int, typer.Option(help="At most so many.")] = 800,
    seed: Seed = 0,
    learner: Annotated[
        str, typer.Option(help="ratio: predicts the speed-up; paper: its net, of pairs alone.")
    ] = DEFAULT,
    storage_path: Annotated[str | None, typer.Option(help="Ray Train's folder, shared by all machines.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a free CPU.")] = 60.0,
    address: Address = None,
    json: Json = None,
) -> None:
    """Fits the selector to a log with Ray Train, and writes the selector file."""
    from placement.spec.joint_threshold import JointThreshold
    from profiling.learning.descent import TrainingOptions
    from profiling.learning.refit import refit as fit
    from profiling.learning.refit import training_frame
    from profiling.report import console_tables

    wanted, options = JointThreshold(speedup, energy_ratio), TrainingOptions(epochs=epochs, seed=seed)
    training_frame(log, wanted, learner)  # a faulty log is refused before a cluster is started
    connect(address, start=True)
    done = fit(
        log, output, rule=wanted, options=options, storage_path=storage_path, timeout_s=timeout, learner=learner
    ).to_dict()
    shown = {name: done[name] for name in ("version", "file", "seconds")}
    shown |= {name: done["training"][name] for name in ("rows", "rows_gpu", "configs", "time_provenance")}
    console_tables.show(console_tables.facts("Refit", {**shown, **done["metrics"]}), json, done)


def evaluate_command(
    log: Annotated[
        str | None, typer.Argument(help="The log: a folder, or a URI that pyarrow knows (s3://bucket/log).")
    ] = None,
    out_of_the_box: Annotated[
        bool,
        typer.Option(
            "--out-of-the-box", help="The shipped selector on published pairs (PLACEMENT_DATA); takes no log."
        ),
    ] = False,
    pairs: Annotated[
        Path | None, typer.Option(help="With --out-of-the-box: a table of other pairs, Parquet or CSV.")
    ] = None,
    sweep_order: Annotated[
        bool,
        typer.Option(
            "--sweep-order", help="Accuracy against cells measured, by the order of a sweep; takes no log. Minutes."
        ),
    ] = False,
    shipped_only: Annotated[
        bool,
        typer.Option(
            "--shipped-only", help="With --out-of-the-box: nothing is fitted again; seconds in place of minutes."
        ),
    ] = False,
    holdout: Annotated[
        str | None,
        typer.Option(help="Every learner on an unseen gpu, cpu, config, workload, family, source, or random pairs."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="With --holdout: only pairs of these sources, NAME,...")] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="With --holdout, --sweep-order: how many seeds draw the parts.")
    ] = 3,
    probes: Annotated[int, typer.Option(min=0, help="With --holdout: tasks timed on a device held out.")] = 8,
    learner: Annotated[str, typer.Option(help="Of Table 5's selector: ratio or paper.")] = DEFAULT,
    speedup: Speedup = 2.0,
    energy_ratio: EnergyRatio = 1.5,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """The policies side by side (Table 5), and held-out accuracies beside the majority class."""
    if out_of_the_box:
        from profiling.cli.evaluate_published import evaluate_published

        evaluate_published(pairs, json, refit=not shipped_only)
        return
    if sweep_order:
        from profiling.cli.evaluate_sweep_order import evaluate_sweep_order

        evaluate_sweep_order(seeds, json)
        return
    if log is None or pairs is not None or shipped_only:
        raise OptionError(
            "give a LOG, or --sweep-order, or --out-of-the-box, which alone takes --pairs and --shipped-only."
        )
    if holdout is not None:
        from profiling.cli.evaluate_holdout import evaluate_holdout

        evaluate_holdout(log, holdout, source, json, seeds, probes, speedup, energy_ratio)
        return
    if source is not None:
        raise OptionError("--source narrows a held-out evaluation; give --holdout too.")
    from placement.spec.joint_threshold import JointThreshold
    from profiling.evaluation.evaluate import evaluate as evaluated
    from profiling.learning.descent import TrainingOptions
    from profiling.report import console_tables, evaluation_tables

    found = evaluated(
        log, rule=JointThreshold(speedup, energy_ratio), options=TrainingOptions(seed=seed), learner=learner
    )
    console_tables.show(evaluation_tables.policies(found), None, {})
    console_tables.show(evaluation_tables.accuracy(found), json, found.to_dict())
    for note in found.notes:
        console_tables.say(note)
