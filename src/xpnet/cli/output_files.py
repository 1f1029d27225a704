"""Where the commands write: the model file, its loss curve, predictions and pictures."""

from pathlib import Path

from ..saving import check_place


def output_file(option: str, given: str, ending: str, rule: str) -> Path:
    """The file that an option names, checked before any work is done: its ending, and that it can be written."""
    if not given.lower().endswith(ending):
        raise ValueError(f"{option} is {given!r}, and {rule}")
    check_place(given)
    return Path(given)


def model_and_curve(out: str | None, data: str) -> tuple[Path, Path]:
    """The model file, named by ``--out`` or after the data, and the picture of the loss curve beside it."""
    name = out if out is not None else f"{Path(data).stem}.safetensors"
    model = output_file("--out", name, ".safetensors", "a model file ends in .safetensors: add the ending")
    curve = model.with_name(f"{model.stem}.curve.png")
    check_place(curve)
    return model, curve
