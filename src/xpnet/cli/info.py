"""``xpnet info``: what is here, or what a model file holds."""

import argparse
import os
from typing import Any

from ..backends import auto_choice
from ..inspection.versions import versions
from .console import Console, computing_on, listed


def run(args: argparse.Namespace) -> int:
    """The whole command; errors are ValueErrors that explain themselves."""
    console = Console()
    if args.check:
        from .check import checked

        lines, is_good = checked(args.backend)
        print("\n".join(lines))
        return 0 if is_good else 1
    with computing_on(args.backend) as (backend, why):
        if args.model is not None:
            for name, text in _contents(args.model, args.backend):
                console.line(name, text)
            return 0
        for name, text in versions():
            console.line(name, text, width=18)
        name, reason = auto_choice()
        console.line("backend auto", f"would take {name}: {reason}", width=18)
        console.line("backend now", f"{backend} ({why})", width=18)
    return 0


def _contents(path: str, backend: str | None) -> list[tuple[str, str]]:
    """What the file holds, as pairs of name and text; it is loaded for that, so it is whole."""
    from ..saving import describe, load, take_apart

    document = describe(path)
    parts = take_apart(load(path, backend))
    mlp = parts.mlp
    scaled = [name for name, scaler in (("features", parts.features), ("target", parts.target)) if scaler is not None]
    sizes = [mlp.n_features_in_, *(b.shape[0] for b in mlp.intercepts_)]
    n = sum(W.size + b.size for W, b in zip(mlp.coefs_, mlp.intercepts_, strict=True))
    lines = [
        (
            "file",
            f"{path}, {os.path.getsize(path) / 1000:.1f} kB, format {document['format_version']}, written by xpnet "
            f"{document['xpnet_version']}",
        ),
        ("model", document["class"] + (f" on scaled {' and '.join(scaled)}" if scaled else "")),
        (
            "network",
            f"{' -> '.join(map(str, sizes))}, {n} parameters, {mlp.coefs_[0].dtype}, hidden layers "
            f"{mlp.activation}, output {mlp.out_activation_}",
        ),
        ("features", listed(document["feature_names"] or [f"{mlp.n_features_in_}, without names"])),
        ("target", listed(document["target_names"] or ["without a name"])),
    ]
    if document["labels"] is not None:
        lines.append(("classes", listed(document["labels"]["values"])))
    lines.append(("trained", f"{mlp.n_iter_} epochs, last loss {mlp.loss_curve_[-1]:.4g}" if mlp.loss_curve_ else "no"))
    lines.append(("settings", _settings(mlp)))
    return lines


def _settings(mlp: Any) -> str:
    """The parameters that differ from their defaults."""
    defaults = type(mlp)().get_params()
    return ", ".join(f"{k}={v!r}" for k, v in mlp.get_params().items() if v != defaults[k]) or "all by default"
