"""`placement evaluate --out-of-the-box`: the shipped selector on published pairs, and fitted without each source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from profiling.terminal import TerminalConsole

if TYPE_CHECKING:
    import pandas as pd

    from placement.prediction.speedup_selector import SpeedupSelector


def evaluate_published(pairs: Path | None, json_file: Path | None, *, refit: bool = True) -> None:
    """Prints the tables, and writes the figures to a JSON file where one is asked for.

    pairs: a table of further pairs, evaluated in place of the published ones. Its sources are not in the fit: the
    shipped file is asked about them, and `left_out` is a fit to the published pairs without sources of the same name.
    """
    from placement.prediction.selector_file import shipped_selector
    from profiling.dataset.published_pairs import left_out, published_frame
    from profiling.evaluation.out_of_the_box import out_of_the_box
    from profiling.learning.fit_shipped import emulated_grid, fit_shipped, without_calibration
    from profiling.report.console_tables import write_json
    from profiling.report.source_tables import tables

    known = published_frame() if refit or pairs is None else None
    asked = known if pairs is None else _asked(pairs)
    grid = emulated_grid() if refit else None

    def without(source: str) -> SpeedupSelector:
        assert known is not None
        assert grid is not None
        return fit_shipped(known[~left_out(known, source)], without_calibration(grid, source))

    found = out_of_the_box(asked, shipped_selector(), without if refit else None, known, grid)
    TerminalConsole().print(tables(found))
    if json_file is not None:
        write_json(json_file, found.to_json())


def _asked(pairs: Path) -> pd.DataFrame:
    """The frame of a user's table of pairs."""
    from profiling.dataset.frames import published
    from profiling.dataset.pair_specs import sustained
    from profiling.dataset.published_pairs import with_location

    frame = sustained(with_location(published(pairs)))
    return frame.assign(source_name=frame["source_name"].fillna("unknown"))
