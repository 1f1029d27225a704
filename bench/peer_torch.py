"""PyTorch's contenders: eager, its fused optimiser, torch.compile with the optimiser inside, a captured CUDA graph."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from cases import OPTIMIZERS, Case
from contender import Contender, Device

Tensor = torch.Tensor
Layers = list[tuple[Tensor, Tensor]]


def about() -> str:
    """The version, and the threads that the contenders are given."""
    return f"PyTorch {torch.__version__}, {_cores()} threads"


def forget() -> None:
    """Give back what a case has taken."""
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _device(name: str) -> Device:
    if name == "cpu":
        return Device()

    def event() -> Any:
        mark = torch.cuda.Event(enable_timing=True)
        mark.record()
        return mark

    return Device(torch.cuda.synchronize, event, lambda first, last: first.elapsed_time(last) / 1e3)


def output(case: Case, params: Layers, X: Tensor) -> Tensor:
    """The network's output; in bfloat16 by autocast, with parameters in float32."""
    if case.precision != "bfloat16":
        return _layer_by_layer(case, params, X)
    with torch.autocast(X.device.type, torch.bfloat16):
        return _layer_by_layer(case, params, X).float()


def _layer_by_layer(case: Case, params: Layers, X: Tensor) -> Tensor:
    f = torch.sigmoid if case.hidden == "sigmoid" else torch.relu
    for W, b in params[:-1]:
        X = f(torch.nn.functional.linear(X, W, b))
    return torch.nn.functional.linear(X, *params[-1])


def mean_cost(case: Case, params: Layers, X: Tensor, Y: Tensor) -> Tensor:
    """The mean over the samples; the targets of the cross-entropy are class numbers, its fastest form."""
    Z = output(case, params, X)
    if case.hidden == "sigmoid":
        return 0.5 * torch.nn.functional.mse_loss(Z, Y, reduction="sum") / X.shape[0]
    return torch.nn.functional.cross_entropy(Z, Y)


class Problem:
    """A net, its batches and its optimiser on the device."""

    def __init__(self, case: Case, name: str, device: str) -> None:
        torch.set_num_threads(_cores())
        torch.set_float32_matmul_precision("high" if case.precision == "tf32" else "highest")
        self.case, self.device = case, _device(device)
        X, Y, labels = case.data()
        self.X = torch.tensor(X, device=device)
        self.Y = torch.tensor(Y if case.hidden == "sigmoid" else labels, device=device)
        self.batches = list(zip(self.X.split(case.batch), self.Y.split(case.batch), strict=True))
        # As in torch.nn.Linear, a weight's rows are the outputs.
        first = [
            (torch.tensor(W.T, device=device).contiguous(), torch.tensor(b, device=device))
            for W, b in case.layers(case.theta())
        ]
        self.params = [tuple(torch.nn.Parameter(p.clone()) for p in layer) for layer in first]
        self.first = [p for layer in first for p in layer]
        self.total = torch.zeros((), device=device, dtype=self.X.dtype)
        rate = OPTIMIZERS[case.optimizer].learning_rate
        kind = torch.optim.Adam if case.optimizer == "Adam" else torch.optim.SGD
        settings = {"fused": True} if name == "torch fused" else {}
        if name == "torch graph" and case.optimizer == "Adam":
            settings = {"capturable": True}  # the number of steps lives on the device
        self.optimizer = kind(self.flat(), lr=rate, **settings)

    def flat(self) -> list[Tensor]:
        """The parameters one after the other."""
        return [p for layer in self.params for p in layer]

    def contender(self, run: Callable, numbers: Callable, before: Callable | None = None) -> Contender:
        """With this problem's device and steps."""
        settings = {} if before is None else {"before": before}
        return Contender(run, numbers, self.case.steps, self.device, **settings)

    def numbers(self) -> list[float]:
        """A pass's cost, and how far the parameters have gone."""
        with torch.no_grad():
            gone = sum(float(((p - q).double() ** 2).sum()) for p, q in zip(self.flat(), self.first, strict=True))
        return [float(self.total) / self.case.steps, gone**0.5]

    def step(self, X: Tensor, Y: Tensor) -> None:
        """Forward, backward, update, as in PyTorch's own tutorials, and the running cost."""
        cost = mean_cost(self.case, self.params, X, Y)
        self.optimizer.zero_grad()
        cost.backward()
        self.optimizer.step()
        self.total += cost.detach()


def build(case: Case, name: str, device: str) -> Contender:
    """One of NAMES on "cpu" or "cuda"."""
    problem = Problem(case, name, device)
    if case.path in ("step", "epoch"):
        steps = {"torch compile": _compiled, "torch graph": _captured}
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


def _compiled(problem: Problem) -> Callable:
    """One function, compiled as a whole: gradient, update and running cost."""
    case, rule = problem.case, OPTIMIZERS[problem.case.optimizer]
    params = [tuple(p.detach() for p in layer) for layer in problem.params]
    moments = [tuple((torch.zeros_like(p), torch.zeros_like(p)) for p in layer) for layer in params]
    t = torch.zeros((), device=problem.X.device, dtype=torch.float64)
    for static in (*problem.flat(), *(v for layer in moments for pair in layer for v in pair), t, problem.total):
        torch._dynamo.mark_static_address(static)
    gradient_and_cost = torch.func.grad_and_value(partial(mean_cost, case))

    def step(X: Tensor, Y: Tensor) -> None:
        gradients, cost = gradient_and_cost(params, X, Y)
        t.add_(1.0)
        for layer, of_layer, slopes in zip(params, moments, gradients, strict=True):
            for p, (m, v), g in zip(layer, of_layer, slopes, strict=True):
                if case.optimizer == "Adam":
                    m.lerp_(g, 1.0 - rule.beta_1)
                    v.mul_(rule.beta_2).addcmul_(g, g, value=1.0 - rule.beta_2)
                    correction = torch.sqrt(1.0 - rule.beta_2**t) / (1.0 - rule.beta_1**t)
                    g = correction.to(p.dtype) * m / (v.sqrt() + rule.epsilon)
                p.sub_(rule.learning_rate * g)
        problem.total.add_(cost)

    compiled = torch.compile(step, mode="max-autotune", fullgraph=True)

    def without_grad(X: Tensor, Y: Tensor) -> None:
        with torch.no_grad():
            compiled(X, Y)

    return without_grad


def _captured(problem: Problem) -> Callable:
    """The eager step in a CUDA graph, as PyTorch's notes on CUDA graphs have it; a batch is copied to its place."""
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
    with torch.no_grad():  # the warm-up has trained: back to the start
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
    Z = None

    def run() -> None:
        nonlocal Z
        for X, _ in problem.batches:
            Z = output(problem.case, problem.params, X)

    return problem.contender(run, lambda: [float(Z.detach().double().norm())])


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
    A = None

    def run() -> None:
        nonlocal A
        with torch.inference_mode():
            for X, _ in problem.batches:
                A = output(problem.case, problem.params, X)
                if problem.case.hidden != "sigmoid":
                    A = torch.softmax(A, 1)

    return problem.contender(run, lambda: [float(A.double().norm())])
