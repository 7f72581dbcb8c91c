"""docs/reference/verifier-nodes.md and the verifier's list of nodes are the same."""

from __future__ import annotations

from pathlib import Path

from proxy.rewrite.verify.tree import KNOWN_NODES, NODE, NODES, SCALAR

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "verifier-nodes.md"


def test_the_page_has_every_node_and_field_and_no_other() -> None:
    rows = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    listed = {kind.strip(): fields.strip().strip("`").split() for kind, fields, _ in rows[1:]}
    shown = {
        kind: [name + {SCALAR: "", NODE: ".", NODES: "*"}.get(how, f":{how}") for name, how in fields.items()]
        for kind, fields in KNOWN_NODES.items()
    }
    assert listed == shown
    assert all(checked.strip() for _, _, checked in rows)


def test_every_type_of_a_field_is_a_node() -> None:
    types = {how for fields in KNOWN_NODES.values() for how in fields.values()}
    assert types - {SCALAR, NODE, NODES} <= KNOWN_NODES.keys()
