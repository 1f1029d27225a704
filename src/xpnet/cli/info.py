"""``xpnet info``: versions, GPU and backends, or what a model file holds."""

import argparse
import os
from collections.abc import Iterator
from typing import Any

from ..backends import auto_choice
from ..backends.environment import check_environment
from ..inspection.versions import versions
from .backend_choice import computing_on
from .console import Console, listed

_WIDTH = 18


def run(args: argparse.Namespace) -> int:
    """Run the command; every line is printed before the next is computed, for a GPU may fail on the way."""
    if args.check:
        from .gpu_check import check_levels

        return 0 if check_levels(args.backend) else 1
    console = Console()
    if args.model is not None:
        for name, text in _contents(args.model, args.backend):
            console.line(name, text)
        return 0
    for name, text in versions():
        console.line(name, text, _WIDTH)
    check_environment()
    name, reason = auto_choice()
    console.line("backend auto", f"would take {name}: {reason}", _WIDTH)
    with computing_on(args.backend) as (backend, why):
        console.line("backend now", f"{backend} ({why})", _WIDTH)
    return 0


def _contents(path: str, backend: str | None) -> Iterator[tuple[str, str]]:
    """What a model file holds, as pairs of name and text; it is loaded first, which finds what is damaged."""
    from ..saving import describe, load, take_apart

    document, parts = describe(path), take_apart(load(path, backend))
    network, size = parts.mlp, os.path.getsize(path) / 1000
    scaled = [name for name, scaler in (("features", parts.features), ("target", parts.target)) if scaler is not None]
    sizes = [network.n_features_in_, *(b.shape[0] for b in network.intercepts_)]
    n = sum(a.size for a in (*network.coefs_, *network.intercepts_))
    written = f"format {document['format_version']}, written by xpnet {document['xpnet_version']}"
    yield "file", f"{path}, {size:.1f} kB, {written}"
    yield "model", document["class"] + (f" on scaled {' and '.join(scaled)}" if scaled else "")
    yield (
        "network",
        f"{' -> '.join(map(str, sizes))}, {n} parameters, {network.coefs_[0].dtype}, hidden layers "
        f"{network.activation}, output {network.out_activation_}",
    )
    yield "features", listed(document["feature_names"] or [f"{network.n_features_in_}, without names"])
    yield "target", listed(document["target_names"] or ["without a name"])
    if document["labels"] is not None:
        yield "classes", listed(document["labels"]["values"])
    losses = network.loss_curve_
    yield "trained", f"{network.n_iter_} epochs, last loss {losses[-1]:.4g}" if losses else "no"
    yield "settings", _settings(network)


def _settings(network: Any) -> str:
    """The parameters that differ from their defaults."""
    defaults = type(network)().get_params()
    changed = [f"{name}={value!r}" for name, value in network.get_params().items() if value != defaults[name]]
    return ", ".join(changed) or "all by default"
