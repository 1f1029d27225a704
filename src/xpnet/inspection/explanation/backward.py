"""The quantities of a step's backward pass: errors and gradients, from the last layer to the first."""

from collections.abc import Iterator

from ...backends import array_namespace
from ...equations.activations import Linear
from ...equations.penalties import add_penalty
from ..equation_text import renamed, source_of
from .forward import penalty_text
from .observed_step import Step, host
from .quantity import Quantity


def backward(step: Step) -> Iterator[Quantity]:
    """dA, dZ, and the gradients of the parameters."""
    K, seen = step.depth, step.seen
    for k in range(K, 0, -1):
        if k == K:
            yield _output_error(step)
        else:
            by_name = f", by {type(step.layer(k + 1)).__name__}'s backward"
            equation = step.equation(f"dA{k}", k + 1, "dX", by_name)
            yield Quantity(f"dA{k}", equation, "", host(seen["dA", k]), "backward", k)
        if step.passes_through(k):
            f = step.activation(k)
            slope = getattr(f, "derivative_equation", f"f' of {type(f).__name__}")
            text = f"dZ{k} = {step.output_error if k == K else f'dA{k}'}"
            text += "" if f == Linear() else f" ∘ f'(Z{k}), {slope}"
            yield Quantity(f"dZ{k}", text, "", host(seen["dZ", k]), "backward", k)
        yield from _gradients(step, k)


def _output_error(step: Step) -> Quantity:
    """The gradient of the loss with respect to the last layer's output."""
    K, criterion, name = step.depth, step.model.criterion, step.output_error
    text = renamed(getattr(criterion, "derivative_equation", "dZ = dL/dZ"), {"dZ": name, "A": f"A{K}"})
    if step.data[2] is not None:
        left, _, right = text.partition(" = ")
        text = f"{left} = w ∘ ({right})"
    return Quantity(name, text, source_of(criterion), host(step.seen["dZ", 0]), "backward", K)


def _gradients(step: Step, k: int) -> Iterator[Quantity]:
    """Each parameter of layer k: the sum over the samples and the penalty's share, if any, and the cost's gradient."""
    model, layer, seen = step.model, step.layer(k), step.seen
    source, by_name = source_of(layer), f" = {type(layer).__name__}'s backward, sum_i"
    found = zip(step.parameters(k), seen["gradients", k], seen["params", k], strict=True)
    for window, g, W in found:
        name, what = window.name, f"d{window.symbol}"
        total = f"sum d{name}"
        lambdas = model.lambdas(step.c) if window.role == "weight" else (None, None)
        text = step.equation(f"d{name}", k, what, by_name)
        if model.reduction == "mean" or any(lambdas):
            yield Quantity(total, step.equation(total, k, what, by_name), source, host(g), "backward", k)
            text = f"d{name} = c {total}"
        if any(lambdas):
            rise = add_penalty(array_namespace(W).zeros_like(W), W, *lambdas)
            terms = penalty_text(step, f"lambda_1 sign({name})", f"lambda_2 {name}")
            yield Quantity(f"penalty d{name}", f"penalty d{name} = {terms}", "", host(rise), "backward", k)
            text += f" + penalty d{name}"
        yield Quantity(f"d{name}", text, source, host(step.gradient[window.at]).reshape(window.shape), "backward", k)
