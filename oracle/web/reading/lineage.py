"""What a version was made of, as a graph: bases and parents above it, the snapshots it was trained on beside them."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy import Connection

from oracle.store import datanets, models
from oracle.store.models import Model
from oracle.types import ChainId
from oracle.web.words import plural

_DEEPEST = 6
_WIDE, _TALL, _ACROSS, _DOWN = 190, 52, 26, 46


@dataclass(frozen=True)
class Node:
    key: str
    title: str
    note: str
    link: str
    kind: str  # base, adapter, snapshot, this


@dataclass(frozen=True)
class Lineage:
    """Layers from the top down, and the arrows between them."""

    layers: list[list[Node]]
    arrows: list[tuple[str, str]]

    @property
    def said(self) -> list[str]:
        titles = {node.key: f"{node.title} ({node.note})" for layer in self.layers for node in layer}
        return [f"{titles[above]} → {titles[below]}" for above, below in self.arrows]

    def drawn(self) -> Markup:
        widest = max(len(layer) for layer in self.layers)
        width = max(widest * (_WIDE + _ACROSS) - _ACROSS, 2 * _WIDE)
        height = len(self.layers) * (_TALL + _DOWN) - _DOWN
        places: dict[str, tuple[float, float]] = {}
        boxes = []
        for row, layer in enumerate(self.layers):
            begin = (width - (len(layer) * (_WIDE + _ACROSS) - _ACROSS)) / 2
            for column, node in enumerate(layer):
                x, y = begin + column * (_WIDE + _ACROSS), row * (_TALL + _DOWN)
                places[node.key] = (x, y)
                boxes.append(
                    Markup(
                        '<a href="{}"><g class="node {}"><rect x="{x:.0f}" y="{y}" width="{w}" height="{h}" rx="4"/>'
                        '<text class="label" x="{tx:.0f}" y="{ty}">{}</text>'
                        '<text class="axis" x="{tx:.0f}" y="{ny}">{}</text></g></a>'
                    ).format(
                        node.link,
                        node.kind,
                        _cut(node.title),
                        _cut(node.note),
                        x=x,
                        y=y,
                        w=_WIDE,
                        h=_TALL,
                        tx=x + 12,
                        ty=y + 22,
                        ny=y + 40,
                    )
                )
        lines = []
        for above, below in self.arrows:
            (x1, y1), (x2, y2) = places[above], places[below]
            middle = (y1 + _TALL + y2) / 2
            lines.append(
                Markup('<path class="edge" d="M{a:.0f} {b} C{a:.0f} {m:.0f} {c:.0f} {m:.0f} {c:.0f} {d}"/>').format(
                    a=x1 + _WIDE / 2, b=y1 + _TALL, c=x2 + _WIDE / 2, d=y2, m=middle
                )
            )
        return Markup(
            '<svg class="plot lineage" viewBox="-2 -2 {} {}" width="{}" role="group" aria-label="Lineage">{}{}</svg>'
        ).format(width + 4, height + 4, width + 4, Markup("").join(lines), Markup("").join(boxes))


def lineage(connection: Connection, chain: ChainId, model: Model) -> Lineage:
    names = {each.number: each.name for each in datanets.all_datanets(connection)}
    layers: list[list[Node]] = []
    arrows: list[tuple[str, str]] = []
    seen: set[str] = set()
    current, kinds = [model], "this"
    while current and len(layers) < _DEEPEST:
        layer: list[Node] = []
        above: list[Model] = []
        beside: list[Node] = []
        for each in current:
            if each.id in seen:
                continue
            seen.add(each.id)
            layer.append(_node(each, kinds if each is model else "base" if each.made.is_base else "adapter"))
            for parent in _parents(connection, chain, each):
                arrows.append((parent.id, each.id))
                above.append(parent)
            for number, version in each.made.snapshots:
                key = f"datanet {number} version {version}"
                arrows.append((key, each.id))
                if key not in seen:
                    seen.add(key)
                    link = f"/datanets/{number}#snapshots"
                    beside.append(
                        Node(key, names.get(number, f"datanet {number}"), f"snapshot {version}", link, "snapshot")
                    )
        if layer:
            layers.append(layer)
        current = above
        if beside:
            layers.append(beside)
    rows = _merged(layers)
    return Lineage(rows[::-1], arrows)


def _merged(layers: list[list[Node]]) -> list[list[Node]]:
    """Snapshots stand in the same row as the parents of what was trained on them."""
    found: list[list[Node]] = []
    for layer in layers:
        if found and len(found) > 1 and all(node.kind == "snapshot" for node in found[-1]):
            found[-1] = [*layer, *found[-1]]
        else:
            found.append(layer)
    return found


def _parents(connection: Connection, chain: ChainId, model: Model) -> list[Model]:
    found = []
    for parent in model.made.parents:
        try:
            found.append(models.find(connection, chain, parent.name, parent.version))
        except models.UnknownModel:
            continue
    if not found and not model.made.is_base:
        try:
            found.append(models.find(connection, chain, model.made.base))
        except models.UnknownModel:
            return []
    return found


def _node(model: Model, kind: str) -> Node:
    note = "base" if model.made.is_base else f"{model.state}, {plural(len(model.made.snapshots), 'snapshot')}"
    return Node(model.id, model.id, note, f"/models/{model.name}?version={model.version}", kind)


def _cut(text: str) -> str:
    return text if len(text) <= 24 else text[:23] + "…"
