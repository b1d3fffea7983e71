"""`placement.profile` and `placement sweep --function`: a sweep of a user's own placed function."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from placement.errors import OptionError
from placement.ray_internals.connection import auto_init_ray
from placement.submission.measurable_function import measurable_function
from profiling.active_learning.budgeted_choice import choice_for
from profiling.sweep.function_preset import function_presets
from profiling.sweep.measure_cell import Protocol
from profiling.sweep.sweep import Sweep, sweep

if TYPE_CHECKING:
    from rich.console import Console

NO_DATA = ""
"""The data root of a sweep that reads no data set."""


def profile(
    placed_function: Any,
    inputs: Iterable[Any],
    *,
    log: str | os.PathLike[str],
    configs: Sequence[str] | None = None,
    cpus: Sequence[float] = (1, 4),
    budget_s: float | None = None,
    protocol: Protocol,
    star: bool = False,
    console: Console | None = None,
) -> Sweep:
    """Measures a placed function; see `placement.profile`.

    protocol: window and time budget of a cell.  console: for the progress bar; None: that of standard error.
    """
    from profiling.terminal import TerminalConsole

    wrong = [f"budget_s={budget_s!r}"] if budget_s is not None and not budget_s > 0 else []
    wrong += [f"cell_budget_s={protocol.budget_s!r}"] if not protocol.budget_s > 0 else []
    wrong += [f"cpus={cpus!r}"] if not cpus or not all(one > 0 for one in cpus) else []
    if wrong:
        raise OptionError(f"profile: {', '.join(wrong)}: must be positive.")
    auto_init_ray()
    function = measurable_function(placed_function)
    presets = list(function_presets(function, inputs, star=star))
    if not presets:
        raise OptionError(f"profile: inputs is empty, so that there is nothing to call {function.name} with.")
    console = console or TerminalConsole(stderr=True)
    console.print(f"{function.name}: inputs: {len(presets)}. What it returns is thrown away.", highlight=False)
    return sweep(
        log, presets, NO_DATA, protocol=protocol, budget_s=budget_s, console=console, configs=configs, cpus=cpus,
        choose=choice_for(log, budget_s),
    )  # fmt: skip
