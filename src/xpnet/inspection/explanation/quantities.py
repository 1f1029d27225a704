"""From what was seen of a step to its quantities in order, each with its equation and its source."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...backends import array_namespace, is_sparse, to_numpy
from ...equations.activations import Activation, Linear
from ...equations.layers import Dense
from ...equations.penalties import add_penalty
from . import sources
from .quantity import Quantity
from .watch import Step

Array = Any


def host(a: Any) -> np.ndarray:
    """A copy on the host; sparse data are dense in it, bfloat16 is float32."""
    a = np.array(to_numpy(a.toarray() if is_sparse(a) else a))
    return a if a.dtype.kind == "f" else a.astype(np.float32)


def forward(step: Step) -> Iterator[Quantity]:
    """X, Y, w; then each layer's parameters, Z and A."""
    X, Y, w = step.data
    yield Quantity("X", "X, rows are samples (A0)", "", host(X), "input")
    yield Quantity("Y", "Y, the targets", "", host(Y), "input")
    if w is not None:
        yield Quantity("w", "w, the samples' weights", "", host(w), "input")
    for k in range(1, step.depth + 1):
        for (name, *_), value in zip(step.parameters(k), step.seen.of["params", k], strict=True):
            yield Quantity(name, f"{name}, before the step", "", host(value), "forward", k)
        yield from _outputs(step, k)


def _outputs(step: Step, k: int) -> Iterator[Quantity]:
    """Z and A of layer k; of the last, the prediction."""
    f, layer, of = step.activation(k), step.model.network.layers[k - 1], step.seen.of
    before = "X" if k == 1 else f"A{k - 1}"
    linked = k == step.depth and step.has_link
    if f is not None:
        affine, source = f"Z{k} of {type(layer).__name__} on {before}", ""
        if isinstance(layer, Dense):
            affine, source = f"Z{k} = {before} W{k}" + (f" + b{k}" if layer.bias else ""), sources.SOURCES["Z"]
        yield Quantity(f"Z{k}", affine, source, host(of["Z", k]), "forward", k)
    if linked and f is not None and f != Linear():  # a scaled output: the link comes after it
        yield _activated(f"f(Z{k})", f"Z{k}", f, of["A", k], k)
    elif not linked and f is not None:
        yield _activated(f"A{k}", f"Z{k}", f, of["A", k], k)
    elif f is None:
        equation, source = sources.spoken(layer)
        name = f"Z{k}" if linked else f"A{k}"
        said = f", {equation}" if equation else ""
        yield Quantity(name, f"{name} = {type(layer).__name__}({before}){said}", source, host(of["A", k]), "forward", k)
    if linked:
        yield _activated(f"A{k}", f"Z{k}", step.model.criterion.link, step.seen.loss["A"], k)


def _activated(name: str, Z: str, f: Activation, value: Array, k: int) -> Quantity:
    equation, _, source = sources.activation(f)
    if f == Linear():
        return Quantity(name, f"{name} = {Z}", source, host(value), "forward", k)
    return Quantity(name, f"{name} = f({Z}), {equation or type(f).__name__}", source, host(value), "forward", k)


def loss(step: Step) -> Iterator[Quantity]:
    """L of each sample, the sums, c, the penalty and the cost."""
    model, seen = step.model, step.seen.loss
    equation, _, source = sources.loss(model.criterion)
    each = host(seen["L"])
    yield Quantity("L", f"each sample's loss, {equation}", source, each.reshape(len(each), -1).sum(axis=1), "loss")
    weighted = step.data[2] is not None
    total = "sum L = sum_i w_i L_i" if weighted else "sum L = sum_i L_i"
    yield Quantity("sum L", total, sources.SOURCES["J"], host(seen["loss_sum"]), "loss")
    if weighted or model.reduction == "mean":
        count = "sum w = sum_i w_i" if weighted else "sum w = m, the number of samples"
        yield Quantity("sum w", count, "", host(seen["weight_sum"]), "loss")
    c = step.c
    said = "c = 1 / sum w, as J is a mean" if model.reduction == "mean" else "c = 1, as J is a sum"
    yield Quantity("c", said, sources.SOURCES["c"], host(c), "loss")
    penalty = model.penalty(step.theta, step.layout, c)
    if model.l1 or model.l2:
        said = f"penalty = {_penalty(step, 'lambda_1 sum |W|', 'lambda_2 / 2 sum W^2')}"
        yield Quantity("penalty", said, sources.SOURCES["penalty"], host(penalty), "loss")
    cost = step.at(step.theta)[0] if step.seen.cost is None else step.seen.cost
    said = "J = c sum L" + (" + penalty" if model.l1 or model.l2 else "") + ", the cost before the step"
    yield Quantity("J", said, sources.SOURCES["J"], np.asarray(cost, each.dtype), "loss")


def _penalty(step: Step, l1: str, l2: str) -> str:
    terms = ((step.model.l1, l1, "1"), (step.model.l2, l2, "2"))
    said = " + ".join(term for value, term, _ in terms if value)
    scale = "c " if step.model.scale_penalty else ""
    return f"{said}, " + ", ".join(f"lambda_{i} = {scale}{value:g}" for value, _, i in terms if value)


def backward(step: Step) -> Iterator[Quantity]:
    """From the last layer to the first: dA, dZ, and the gradients of the parameters."""
    K, of = step.depth, step.seen.of
    for k in range(K, 0, -1):
        layer, f = step.model.network.layers[k - 1], step.activation(k)
        if k == K:
            yield _output_error(step, K)
        else:
            equation, source = f"dA{k}, by {type(step.model.network.layers[k]).__name__}'s backward", ""
            if isinstance(step.model.network.layers[k], Dense):
                equation, source = f"dA{k} = dZ{k + 1} W{k + 1}ᵀ", sources.SOURCES["dA"]
            yield Quantity(f"dA{k}", equation, source, host(of["dA", k]), "backward", k)
        if f is not None and not (k == K and f == Linear()):
            _, slope, _ = sources.activation(f)
            name = f"dA{k}" if not (k == K and step.has_link) else f"df(Z{k})"
            said = f"dZ{k} = {name}" if f == Linear() else f"dZ{k} = {name} ∘ f'(Z{k}), {slope}"
            source = sources.SOURCES["output"] if k == K else sources.SOURCES["dZ"]
            yield Quantity(f"dZ{k}", said, source, host(of["dZ", k]), "backward", k)
        yield from _gradients(step, k, layer)


def _output_error(step: Step, K: int) -> Quantity:
    """What the loss hands to the last layer: dZ where its link or a linear layer stands there, else dA."""
    _, slope, source = sources.loss(step.model.criterion)
    f = step.activation(K)
    is_dZ = f == Linear() or (f is None and step.has_link)
    name = f"dZ{K}" if is_dZ else f"df(Z{K})" if step.has_link else f"dA{K}"
    said = sources.put(slope, dZ=name, A=f"A{K}")
    if step.data[2] is not None:
        left, _, right = said.partition(" = ")
        said = f"{left} = w ∘ ({right})"
    return Quantity(name, said, source, host(step.seen.loss["dZ"]), "backward", K)


def _gradients(step: Step, k: int, layer: Any) -> Iterator[Quantity]:
    """Of each parameter of layer k: the sum over the samples where it isn't all yet, the penalty's, the cost's."""
    model, before = step.model, "X" if k == 1 else f"A{k - 1}"
    whole = step.gradient
    for (name, is_weight, at, shape), g, W in zip(
        step.parameters(k), step.seen.of["gradients", k], step.seen.of["params", k], strict=True
    ):
        kind = name[: -len(str(k))] if isinstance(layer, Dense) else ""
        said = {"W": f"{before}ᵀ dZ{k}", "b": f"sum_i dZ{k}_i"}.get(kind, f"{type(layer).__name__}'s backward, sum_i")
        source = sources.SOURCES.get(f"d{kind}", sources.spoken(layer)[1])
        lambdas = model.lambdas(step.c) if is_weight else (None, None)
        terms = [said] if model.reduction == "sum" else [f"c sum d{name}"]
        if model.reduction == "mean" or any(lambdas):
            yield Quantity(f"sum d{name}", f"sum d{name} = {said}", source, host(g), "backward", k)
            terms = [f"c sum d{name}"]
        if any(lambdas):
            rise = add_penalty(array_namespace(W).zeros_like(W), W, *lambdas)
            equation = f"penalty d{name} = {_penalty(step, f'lambda_1 sign({name})', f'lambda_2 {name}')}"
            yield Quantity(f"penalty d{name}", equation, sources.SOURCES["penalty"], host(rise), "backward", k)
            terms.append(f"penalty d{name}")
        equation = f"d{name} = {' + '.join(terms)}"
        yield Quantity(f"d{name}", equation, source, host(whole[at]).reshape(shape), "backward", k)


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


def described(config: Any) -> str:
    """A layer, loss or rule in words: its class, and the settings that are not its defaults."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return type(config).__name__
    # Initial values are in the numbers, and the rate is the state's.
    fields = [f for f in dataclasses.fields(config) if "initial" not in f.name and f.name != "learning_rate"]
    changed = [f for f in fields if f.default is dataclasses.MISSING or getattr(config, f.name) != f.default]
    return f"{type(config).__name__}({', '.join(f'{f.name}={getattr(config, f.name)!r}' for f in changed)})"


def notes(step: Step, narrow: str | None) -> tuple[str, ...]:
    """What a reader should know about this step."""
    found = []
    if narrow is not None:
        found.append(f"Training rounds the factors of products to {narrow}; here they are in full float32.")
    if step.seen.diverged is not None:
        found.append("The step diverges: the cost or a parameter is no longer finite. No gradient was checked.")
    return tuple(found)
