"""The quantities of a step's backward pass: errors and gradients, from the last layer to the first."""

from collections.abc import Iterator

from ...backends import array_namespace
from ...equations.activations import Linear
from ...equations.penalties import add_penalty
from ..equation_text import renamed
from .forward import penalty_text
from .quantity import Quantity
from .step import Step, host


def backward(step: Step) -> Iterator[Quantity]:
    """dA, dZ, and the gradients of the parameters."""
    K = step.depth
    for k in range(K, 0, -1):
        yield _output_error(step) if k == K else _hidden_error(step, k)
        if step.passes_through(k):
            f = step.activation(k)
            name = step.output_error if k == K else f"dA{k}"
            slope = getattr(f, "derivative_equation", f"f' of {type(f).__name__}")
            said = f"dZ{k} = {name}" if f == Linear() else f"dZ{k} = {name} ∘ f'(Z{k}), {slope}"
            yield Quantity(f"dZ{k}", said, "", host(step.seen["dZ", k]), "backward", k)
        yield from _gradients(step, k)


def _output_error(step: Step) -> Quantity:
    """What the loss hands to the last layer."""
    K, criterion, name = step.depth, step.model.criterion, step.output_error
    equation = getattr(criterion, "derivative_equation", "dZ = dL/dZ")
    said = renamed(equation, {"dZ": name, "A": f"A{K}"})
    if step.data[2] is not None:
        left, _, right = said.partition(" = ")
        said = f"{left} = w ∘ ({right})"
    return Quantity(name, said, getattr(criterion, "source", ""), host(step.seen["dZ", 0]), "backward", K)


def _hidden_error(step: Step, k: int) -> Quantity:
    """What layer k + 1 hands to layer k."""
    after = step.layer(k + 1)
    steps = getattr(after, "steps", {})
    said = (
        f" = {renamed(steps['dX'], step.symbols(k + 1))}"
        if "dX" in steps
        else f", by {type(after).__name__}'s backward"
    )
    return Quantity(f"dA{k}", f"dA{k}{said}", "", host(step.seen["dA", k]), "backward", k)


def _gradients(step: Step, k: int) -> Iterator[Quantity]:
    """Of each parameter of layer k: the sum over the samples if that isn't all yet, the penalty's, the cost's."""
    model, layer, symbols = step.model, step.layer(k), step.symbols(k)
    source, steps = getattr(layer, "source", ""), getattr(layer, "steps", {})
    found = zip(step.parameters(k), step.seen["gradients", k], step.seen["params", k], strict=True)
    for (name, is_weight, at, shape), g, W in found:
        step_text = steps.get(f"d{name.removesuffix(str(k))}", f"{type(layer).__name__}'s backward, sum_i")
        terms = [renamed(step_text, symbols)]
        lambdas = model.lambdas(step.c) if is_weight else (None, None)
        if model.reduction == "mean" or any(lambdas):
            yield Quantity(f"sum d{name}", f"sum d{name} = {terms[0]}", source, host(g), "backward", k)
            terms = [f"c sum d{name}"]
        if any(lambdas):
            rise = add_penalty(array_namespace(W).zeros_like(W), W, *lambdas)
            said = f"penalty d{name} = {penalty_text(step, f'lambda_1 sign({name})', f'lambda_2 {name}')}"
            yield Quantity(f"penalty d{name}", said, "", host(rise), "backward", k)
            terms.append(f"penalty d{name}")
        value = host(step.gradient[at]).reshape(shape)
        yield Quantity(f"d{name}", f"d{name} = {' + '.join(terms)}", source, value, "backward", k)
