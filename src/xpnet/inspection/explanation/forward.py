"""The quantities of a step's forward pass: data, layers, loss and cost."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...backends import to_numpy
from ...equations.activations import Activation, Linear
from ..equation_text import described, equation_of, source_of
from .observed_step import Step, before, host
from .quantity import Quantity

Array = Any


def forward(step: Step) -> Iterator[Quantity]:
    """X, Y, w; then each layer's parameters, Z and A."""
    inputs = ("X", "X, rows are samples (A0)"), ("Y", "Y, the targets"), ("w", "w, the samples' weights")
    for (name, equation), value in zip(inputs, step.data, strict=True):
        if value is not None:
            yield Quantity(name, equation, "", host(value), "input")
    for k in range(1, step.depth + 1):
        for window, value in zip(step.parameters(k), step.seen["params", k], strict=True):
            name = window.name
            yield Quantity(name, f"{name}, before the step", "", host(value), "forward", k)
        yield from _outputs(step, k)


def _outputs(step: Step, k: int) -> Iterator[Quantity]:
    """Z and A of layer k; for the last layer, A is the prediction."""
    f, layer, A = step.activation(k), step.layer(k), step.seen["A", k]
    linked = k == step.depth and step.has_link
    if f is None:
        name, equation = f"Z{k}" if linked else f"A{k}", getattr(layer, "equation", "")
        text = f"{name} = {type(layer).__name__}({before(k)}){', ' if equation else ''}{equation}"
        yield Quantity(name, text, source_of(layer), host(A), "forward", k)
    else:
        text = step.equation(f"Z{k}", k, "Z", f" of {type(layer).__name__} on {before(k)}")
        yield Quantity(f"Z{k}", text, "", host(step.seen["Z", k]), "forward", k)
        if not linked:
            yield _activated(f"A{k}", f, A, k)
        elif f != Linear():  # a scaled output: the link comes after it
            yield _activated(f"f(Z{k})", f, A, k)
    if linked:
        yield _activated(f"A{k}", step.model.criterion.link, step.seen["A", 0], k)


def _activated(name: str, f: Activation, value: Array, k: int) -> Quantity:
    of = f"f(Z{k}), {equation_of(f)}" if f != Linear() else f"Z{k}"
    return Quantity(name, f"{name} = {of}", source_of(f), host(value), "forward", k)


def loss(step: Step) -> Iterator[Quantity]:
    """L of each sample, the sums, c, the penalty and the cost."""
    model, seen, criterion = step.model, step.seen, step.model.criterion
    weighted, is_mean, has_penalty = step.data[2] is not None, model.reduction == "mean", bool(model.l1 or model.l2)
    each = host(seen["L", 0])
    L = each.reshape(len(each), -1).sum(axis=1)
    yield Quantity("L", f"each sample's loss, {equation_of(criterion)}", source_of(criterion), L, "loss")
    total = "sum L = sum_i w_i L_i" if weighted else "sum L = sum_i L_i"
    yield Quantity("sum L", total, "", host(seen["loss_sum", 0]), "loss")
    if weighted or is_mean:
        count = "sum w = sum_i w_i" if weighted else "sum w = m, the number of samples"
        yield Quantity("sum w", count, "", host(seen["weight_sum", 0]), "loss")
    text = "c = 1 / sum w, as J is a mean" if is_mean else "c = 1, as J is a sum"
    yield Quantity("c", text, "", host(step.c), "loss")
    if has_penalty:
        text = f"penalty = {penalty_text(step, 'lambda_1 sum |W|', 'lambda_2 / 2 sum W^2')}"
        yield Quantity("penalty", text, "", host(model.penalty(step.theta, step.layout, step.c)), "loss")
    cost = step.at(step.theta)[0] if step.cost is None else step.cost
    text = f"J = c sum L{' + penalty' if has_penalty else ''}, the cost before the step"
    yield Quantity("J", text, "", np.asarray(cost, each.dtype), "loss")


def penalty_text(step: Step, l1: str, l2: str) -> str:
    """The terms of the penalty that are not 0, with their lambdas."""
    terms = [(value, term, i) for value, term, i in ((step.model.l1, l1, 1), (step.model.l2, l2, 2)) if value]
    scale = "c " if step.model.scale_penalty else ""
    lambdas = ", ".join(f"lambda_{i} = {scale}{value:g}" for value, _, i in terms)
    return f"{' + '.join(term for _, term, _ in terms)}, {lambdas}"


def facts(step: Step) -> dict[str, str]:
    """The step in words."""
    shape, sizes = step.layout.in_shape, []
    for layer in step.model.network.layers:
        sizes.append(shape)
        _, shape = layer.shapes(shape)
    m, n = step.data[0].shape[0], step.layout.n_parameters
    precision = step.model.precision or str(to_numpy(step.theta).dtype)
    return {
        "network": " → ".join("x".join(map(str, size)) for size in [*sizes, shape]) + f", {n} parameters",
        "loss": f"{described(step.model.criterion)}, {'the mean' if step.model.reduction == 'mean' else 'a sum'}",
        "rule": f"{described(step.state.optimizer)}, rate {step.state.learning_rate:g}, step {step.state.step + 1}",
        "samples": str(m) + (", weighted" if step.data[2] is not None else ""),
        "computed": f"in {precision} by {step.backend.name}",
    }
