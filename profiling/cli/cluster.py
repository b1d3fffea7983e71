"""`placement nodes` and `placement swap`: the running cluster's nodes, and the selector in its service."""

from __future__ import annotations

from typing import Annotated

import typer

from profiling.cli.options import Address, Json
from profiling.cli.session import connect


def nodes_command(address: Address = None, json: Json = None) -> None:
    """The kinds of node of the running cluster, with their probed figures."""
    import placement
    from placement.commands import wait_for_probes
    from profiling.report import console_tables

    connect(address)
    placement.start()
    wait_for_probes()
    found = placement.inventory()
    rows = [{**kind.spec.to_dict(), "count": kind.count, "node_ids": list(kind.node_ids)} for kind in found.kinds]
    console_tables.show(console_tables.nodes(found), json, {"nodes": rows})


def swap_command(
    selector: Annotated[str, typer.Argument(help="A selector file, as `placement refit` writes; a path or URI.")],
    address: Address = None,
    json: Json = None,
) -> None:
    """Puts a selector in service in the running cluster, without a restart."""
    import placement
    from placement.commands import read_selector
    from profiling.report import console_tables

    read_selector(selector)  # a broken file is refused before a cluster is needed
    connect(address)
    before = placement.start()
    done = {"in_service": placement.swap(selector), "before": before}
    console_tables.show(console_tables.facts("Swap", done), json, done)
