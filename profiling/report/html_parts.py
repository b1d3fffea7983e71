"""The pieces of a self-contained HTML page: badges, tables, figures as inline SVG. All text is escaped here."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class TableCell:
    """A table cell: its text, a paler remark beside it ("" keeps its place free), and whether it is a number."""

    text: str
    aside: str | None = None
    number: bool = False

    def html(self, tag: str = "td") -> str:
        """The cell as HTML."""
        aside = f' <span class="aside">{escape(self.aside)}</span>' if self.aside is not None else ""
        kind = ' class="n"' if self.number else ""
        return f"<{tag}{kind}>{escape(self.text)}{aside}</{tag}>"


@dataclass(frozen=True, slots=True)
class Section:
    """One block of the page. figures: (caption, alt text, Figure); several stand side by side.

    badges: provenances of the figures, made by `badges`.  rows: of Cells, the first being the head; strong: rows in
    bold.
    """

    title: str
    text: str
    badges: str
    figures: Sequence[tuple[str, str, Figure]] = ()
    rows: Sequence[Sequence[TableCell]] = ()
    strong: frozenset[int] = frozenset()

    def html(self) -> str:
        """The section as HTML."""
        shown = "".join(_figure(*figure) for figure in self.figures)
        if len(self.figures) > 1:
            shown = f'<div class="row">{shown}</div>'
        top = f'<div class="top"><h2>{escape(self.title)}</h2>{self.badges}</div>'
        rows = table(self.rows, self.strong) if self.rows else ""
        return f"<section>\n{top}\n<p>{escape(self.text)}</p>\n{shown}{rows}</section>\n"


def badges(**counts: Mapping[str, int]) -> str:
    """A badge for each provenance of each quantity: badges(times={"emulated": 40}) -> "times: emulated 40"."""
    spans = [
        f'<span class="badge {name}">{escape(quantity.replace("_", " "))}: {name} {count:,}</span>'
        for quantity, by_name in counts.items()
        for name, count in by_name.items()
    ]
    return f'<span class="badges">{"".join(spans)}</span>'


def number(value: Any, form: str = ".2f") -> TableCell:
    """A number's cell; a dash where it is None or NaN (not measured)."""
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return TableCell("–" if missing else format(value, form), number=True)


def table(rows: Sequence[Sequence[TableCell]], strong: frozenset[int] = frozenset()) -> str:
    """An HTML table of Cells; the first row is the head."""
    head = "".join(cell.html("th") for cell in rows[0])
    body = ""
    for index, row in enumerate(rows[1:]):
        look = ' class="strong"' if index in strong else ""
        body += f"<tr{look}>{''.join(cell.html() for cell in row)}</tr>\n"
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def tile(value: str, label: str) -> str:
    """A large figure with its label."""
    return f'<div class="tile"><div class="value">{escape(value)}</div><div class="label">{escape(label)}</div></div>'


def fact(name: str, value: str) -> str:
    """An entry of the line under the title."""
    return f"<li><b>{escape(name)}</b> {escape(value)}</li>"


def page(title: str, summary: str, facts: str, tiles: str, sections: str, footer: str) -> str:
    """The whole page, of the template beside this module; facts, tiles and sections are HTML already."""
    template = Template(resources.files("profiling").joinpath("data/report.html").read_text("utf-8"))
    return template.substitute(
        title=escape(title), summary=escape(summary), footer=escape(footer), facts=facts, tiles=tiles, sections=sections
    )


def _figure(caption: str, alt: str, figure: Figure) -> str:
    heading = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure>{heading}<img src="{image(figure)}" alt="{escape(alt, quote=True)}"></figure>'


def image(figure: Figure) -> str:
    """The figure as a data URI: an SVG of its own, so that the ids of two figures cannot meet."""
    sink = io.BytesIO()
    figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None}, dpi=150)
    return "data:image/svg+xml;base64," + base64.b64encode(sink.getvalue()).decode()
