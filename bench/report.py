"""Writes the record of a run as a Markdown page, along with its charts and the record itself.

python bench/report.py bench.json [--into bench/results]      # <device>-<date>.md, .png and .json
"""

import argparse
import json
import math
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import bars
import parts
from machine import machine
from paired import crossover
from tables import OURS, Record, each, name, ratio, table

LABELS = (
    *("limit", "numpy", "scikit-learn", "torch", "torch fused", "torch graph", "torch reduce-overhead"),
    *("torch compile", "jax"),
)


def ratios(record: Record) -> str:
    """The ratios of xpnet's time to the limit and to each peer's time."""
    rows = []
    for result, backend in each(record):
        of = result["ratios"][backend]
        rows.append([result["path"], name(result), backend, *(ratio(of.get(label)) for label in LABELS)])
    return table(["path", "net @ batch", "xpnet on", *(f"/ {label}" for label in LABELS)], rows)


def figures(record: Record) -> str:
    """Times, rates and memory."""
    rows = []
    for result, backend in each(record):
        own = result["contenders"][backend]
        limit = result["contenders"].get(f"{backend} limit", {}).get("seconds", math.nan)
        is_update = result["path"] == "update"
        rest = own["seconds"] if is_update else own["seconds"] - limit
        rows.append(
            [
                result["path"],
                name(result),
                backend,
                *(f"{1e3 * seconds:.3g}" for seconds in (own["seconds"], limit)),
                *(f"{1e3 * own[clock]:.3g}" if "device" in own else "" for clock in ("device", "host")),
                "" if is_update else f"{result['flops'] / own['seconds'] / 1e9:.4g}",
                f"{result['bytes'] / rest / 1e9:.3g}" if rest > 0.05 * own["seconds"] else "",
                f"{result['bytes'] / limit / 1e9:.3g}" if is_update and limit > 0 else "",
                f"{own['memory'] / 2**20:.0f}" if own.get("memory") else "",
                f"{own['noise']:.0%}",
            ]
        )
    head = [
        "path",
        "net @ batch",
        "xpnet on",
        "ms a step",
        "ms its limit",
        "ms on the device",
        "ms to launch",
        "GFLOP/s",
    ]
    return table([*head, "elementwise GB/s", "copy GB/s", "MiB on the GPU", "noise"], rows)


def means(record: Record) -> str:
    """The geometric means over the cases of the claim."""
    rows = [
        [f"{backend} / {label}", ratio([mean, low, high, record["rounds"]]), n]
        for backend, of_backend in record["means"].items()
        for label, (mean, low, high, n) in of_backend.items()
    ]
    return table(["xpnet on", "geometric mean [95%]", "cases"], rows)


def crossovers(record: Record) -> str:
    """The FLOPs of a step from which CuPy takes less time than NumPy, along each line of the grid."""
    both = [r for r in record["results"] if r["path"] == "step" and set(OURS) <= set(r["contenders"])]
    lines = {
        "width": lambda r: [len(r["widths"]), r["batch"], r["optimizer"], r["precision"], r["hidden"]],
        "batch": lambda r: [r["widths"], r["optimizer"], r["precision"], r["hidden"]],
    }
    rows = []
    for along, key in lines.items():
        for fixed, group in groupby(sorted(both, key=key), key=key):
            found = sorted(group, key=lambda r: r["flops"])
            if len(found) > 1:
                times = ([r["contenders"][b]["seconds"] for r in found] for b in OURS)
                rows.append(
                    [
                        along,
                        ", ".join(map(str, fixed)),
                        len(found),
                        said(crossover([r["flops"] for r in found], *times)),
                    ]
                )
    return table(["along", "at", "points", "CuPy takes less time than NumPy"], rows)


def said(found: tuple[str, float] | None) -> str:
    """A crossover as text."""
    return "nowhere measured" if found is None else f"{found[0]} {found[1]:.2g} FLOPs a step"


def failures(record: Record) -> str:
    """The contenders that failed, the errors, and the number of cases."""
    cases: dict[tuple[str, str], list[str]] = {}
    for result in record["results"]:
        for who, why in result["failed"].items():
            reason = why.splitlines()[0][:200].replace("|", "/")
            cases.setdefault((who, reason), []).append(f"{result['path']}, {name(result)}")
    rows = [[who, why, len(found), found[0]] for (who, why), found in cases.items()]
    return table(["contender", "failed with", "cases", "the first"], rows)


def missing(record: Record) -> str:
    """The cases that the run did not reach, in order."""
    found = record.get("missing", [])
    return f"Not reached, {len(found)} cases: {', '.join(f'`{case}`' for case in found)}." if found else ""


def summary(record: Record) -> str:
    """The short form, for the end of a run."""
    parts = (ratios, means, bars.on_two_cores, bars.on_a_gpu, crossovers, failures, missing)
    return "\n\n".join(text for text in (part(record) for part in parts) if text)


def markdown(record: Record, pictures: Sequence[tuple[str, str]] = ()) -> str:
    """The page."""
    machine = [f"- {key}: {record[key]}" for key in (*_MACHINE, *_GPU) if key in record]
    machine += [f"- {said}" for said in record["peers"].values()]
    machine.append(f"- set `{record['set']}`, {record['rounds']} paired rounds; definitions: `bench/README.md`")
    sections = [
        ("", "\n".join(machine)),
        ("", "\n".join(f"![{alt}]({file})" for file, alt in pictures)),
        ("The parts of this run", parts.markdown(record)),
        ("What is promised on a GPU", bars.on_a_gpu(record)),
        ("xpnet's time over the others', median of the rounds [95% interval]", ratios(record)),
        ("Geometric means over the cases of the claim", means(record)),
        ("Training beside its products, and its bars", bars.on_two_cores(record)),
        ("Times and rates", figures(record)),
        ("Where the GPU takes over", crossovers(record)),
        ("Not measured", "\n\n".join(text for text in (failures(record), missing(record)) if text)),
    ]
    body = "\n\n".join((f"## {title}\n\n" if title else "") + text for title, text in sections if text)
    return f"# {device(record)}, {record['date']}\n\n{body}\n"


_MACHINE = ("processor", "NumPy", "xpnet", "commit")
_GPU = ("gpu", "driver", "CUDA of the driver", "CUDA runtime", "CuPy")


def device(record: Record) -> str:
    """The GPU's name, or the processor's."""
    return record.get("gpu") or record["processor"]


def file_name(record: Record) -> str:
    """The name <device>-<date>, in letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{device(record)}-{record['date']}".lower())


def write(record: Record, into: Path) -> Path:
    """Write <device>-<date>.md, .json and the charts for which the record has points."""
    from chart import charts

    into.mkdir(parents=True, exist_ok=True)
    base = into / file_name(record)
    page = base.with_suffix(".md")
    page.write_text(markdown(record, charts(record, base)))
    base.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    return page


def main() -> None:
    """Write the page, the charts and the record, and print the short form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("--into", type=Path, default=Path("."), help="a folder")
    parser.add_argument("--parts", type=Path, help="the folder of gpu_report.sh")
    given = parser.parse_args()
    if given.record.exists():
        record = json.loads(given.record.read_text())
    elif given.parts:  # no case was measured: the page has only the results of the parts
        record = {"set": "none", "rounds": 0, **machine([]), "peers": {}, "means": {}, "results": []}
    else:
        parser.error(f"{given.record} is missing: python -m pytest bench --json {given.record}")
    if given.parts:
        record |= parts.read(given.parts)
    page = write(record, given.into)
    print(f"{parts.markdown(record)}\n\n{summary(record)}\n\n{page}".strip())


if __name__ == "__main__":
    main()
