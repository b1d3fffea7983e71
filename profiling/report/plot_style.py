"""The look of the figures: colours, line styles, markers and matplotlib's settings.

Colours are Okabe and Ito's (2008), which colour-blind readers can tell apart; no meaning hangs on colour alone: devices
differ in hatching, lines in dashes, points in their markers. No pyplot: nothing global is changed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    pass

CPU, GPU = "#0072B2", "#D55E00"


INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"


LINES = (("#009E73", "-"), ("#CC79A7", "--"), ("#0072B2", "-."), ("#E69F00", ":"))


SQUARE = (3.7, 4.5)  # inches: three stand side by side


MARKERS = "os^DvPX*<>hp"


STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa5b1",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "hatch.linewidth": 0.6,
    "svg.fonttype": "path",
    "figure.constrained_layout.use": True,
}


Args = ParamSpec("Args")


def styled(draw: Callable[Args, Figure]) -> Callable[Args, Figure]:
    """Wraps a function that draws, so that it runs under STYLE and leaves matplotlib's settings unchanged."""

    @functools.wraps(draw)
    def wrapper(*args: Args.args, **kwargs: Args.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def axes_of(width: float, height: float) -> tuple[Figure, Axes]:
    """A new figure of that size in inches, and its axes."""
    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def cycle(markers: str) -> list[str]:
    """The markers, repeated 20 times."""
    return list(markers) * 20
