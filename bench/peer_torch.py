"""PyTorch's contenders: eager, its fused optimizer, torch.compile with the optimizer inside, a captured CUDA graph."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from cases import OPTIMIZERS, Case
from contender import Contender, cores
from torch_problem import Problem, Tensor, mean_cost, output


def about() -> str:
    """The version, and the number of threads."""
    return f"PyTorch {torch.__version__}, {cores()} threads"


def has_gpu() -> bool:
    """Whether this PyTorch was built for CUDA and finds a GPU."""
    return torch.cuda.is_available()


def forget() -> None:
    """Free the memory of a case."""
    torch._dynamo.reset()
    if has_gpu():
        torch.cuda.empty_cache()


def build(case: Case, name: str, device: str) -> Contender:
    """One of NAMES on "cpu" or "cuda"."""
    problem = Problem(case, name, device)
    if case.path in ("step", "epoch"):
        steps = {
            "torch compile": partial(_compiled, mode="max-autotune"),
            "torch reduce-overhead": partial(_compiled, mode="reduce-overhead"),
            "torch graph": _captured,
        }
        return _passes(problem, steps[name](problem) if name in steps else problem.step)
    return {"forward": _forward, "backward": _backward, "update": _update, "predict": _predict}[case.path](problem)


def _passes(problem: Problem, step: Callable) -> Contender:
    case = problem.case

    def run() -> None:
        problem.total.zero_()
        if case.path == "epoch":
            order = torch.randperm(problem.X.shape[0], device=problem.X.device)
            for at in order.split(case.batch):
                step(problem.X[at], problem.Y[at])
        else:
            for X, Y in problem.batches:
                step(X, Y)

    return problem.contender(run, problem.numbers)


def _compiled(problem: Problem, mode: str) -> Callable:
    """One function, compiled as a whole: gradient, update and running cost."""
    case, rule = problem.case, OPTIMIZERS[problem.case.optimizer]
    params = [tuple(p.detach() for p in layer) for layer in problem.params]
    slots = [tuple((torch.zeros_like(p), torch.zeros_like(p)) for p in layer) for layer in params]
    t = torch.zeros((), device=problem.X.device, dtype=torch.float64)
    for static in (*problem.flat(), *(v for layer in slots for pair in layer for v in pair), t, problem.total):
        torch._dynamo.mark_static_address(static)
    gradient_and_cost = torch.func.grad_and_value(partial(mean_cost, case))

    def step(X: Tensor, Y: Tensor) -> None:
        gradients, cost = gradient_and_cost(params, X, Y)
        t.add_(1.0)
        for layer, of_layer, slopes in zip(params, slots, gradients, strict=True):
            for p, (m, v), g in zip(layer, of_layer, slopes, strict=True):
                if case.optimizer == "Adam":
                    m.lerp_(g, 1.0 - rule.beta_1)
                    v.mul_(rule.beta_2).addcmul_(g, g, value=1.0 - rule.beta_2)
                    correction = torch.sqrt(1.0 - rule.beta_2**t) / (1.0 - rule.beta_1**t)
                    g = correction.to(p.dtype) * m / (v.sqrt() + rule.epsilon)
                p.sub_(rule.learning_rate * g)
        problem.total.add_(cost)

    compiled = torch.compile(step, mode=mode, fullgraph=True)

    def without_grad(X: Tensor, Y: Tensor) -> None:
        with torch.no_grad():
            compiled(X, Y)

    return without_grad


def _captured(problem: Problem) -> Callable:
    """The eager step in a CUDA graph, as in PyTorch's notes on CUDA graphs; batches are copied into its input."""
    X, Y = (A.clone() for A in problem.batches[0])
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            problem.step(X, Y)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    problem.optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        problem.step(X, Y)
    with torch.no_grad():  # undo the training of the warm-up
        for p, first in zip(problem.flat(), problem.first, strict=True):
            p.copy_(first)
        for state in problem.optimizer.state.values():
            for moment in state.values():
                moment.zero_()

    def step(X_now: Tensor, Y_now: Tensor) -> None:
        X.copy_(X_now)
        Y.copy_(Y_now)
        graph.replay()

    return step


def _forward(problem: Problem) -> Contender:
    return problem.of_outputs(partial(output, problem.case, problem.params))


def _backward(problem: Problem) -> Contender:
    costs: list = []

    def before() -> None:
        costs[:] = [mean_cost(problem.case, problem.params, X, Y) for X, Y in problem.batches]

    def run() -> None:
        while costs:
            problem.optimizer.zero_grad()
            costs.pop(0).backward()

    def numbers() -> list[float]:
        return [sum(float((p.grad.double() ** 2).sum()) for p in problem.flat()) ** 0.5]

    return problem.contender(run, numbers, before)


def _update(problem: Problem) -> Contender:
    gradient = problem.case.layers(problem.case.gradient())
    for (W, b), (dW, db) in zip(problem.params, gradient, strict=True):
        W.grad, b.grad = torch.tensor(dW.T, device=W.device).contiguous(), torch.tensor(db, device=b.device)

    def run() -> None:
        for _ in range(problem.case.steps):
            problem.optimizer.step()

    return problem.contender(run, lambda: [0.0, problem.numbers()[1]])


def _predict(problem: Problem) -> Contender:
    def predict(X: Tensor) -> Tensor:
        Z = output(problem.case, problem.params, X)
        return Z if problem.case.hidden == "sigmoid" else torch.softmax(Z, 1)

    contender = problem.of_outputs(predict)
    return replace(contender, run=torch.inference_mode()(contender.run))
