"""The network, cost, batches and optimizer that all contenders of PyTorch share."""

from collections.abc import Callable
from typing import Any

import torch
from cases import OPTIMIZERS, Case
from contender import Contender, Device, cores, of_outputs

Tensor = torch.Tensor
Layers = list[tuple[Tensor, Tensor]]


def _device(name: str) -> Device:
    if name == "cpu":
        return Device()

    def event() -> Any:
        mark = torch.cuda.Event(enable_timing=True)
        mark.record()
        return mark

    return Device(torch.cuda.synchronize, event, lambda first, last: first.elapsed_time(last) / 1e3)


def output(case: Case, params: Layers, X: Tensor) -> Tensor:
    """The output of the network; bfloat16 is computed by autocast, with parameters in float32."""
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
    """The mean cost of the samples; cross-entropy takes class numbers as targets, which is the fastest form."""
    Z = output(case, params, X)
    if case.hidden == "sigmoid":
        return 0.5 * torch.nn.functional.mse_loss(Z, Y, reduction="sum") / X.shape[0]
    return torch.nn.functional.cross_entropy(Z, Y)


class Problem:
    """A net, its batches and its optimizer on the device."""

    def __init__(self, case: Case, name: str, device: str) -> None:
        torch.set_num_threads(cores())
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
        """The parameters of all layers, in order."""
        return [p for layer in self.params for p in layer]

    def contender(self, run: Callable, numbers: Callable, before: Callable | None = None) -> Contender:
        """A contender with the device and steps of this problem."""
        settings = {} if before is None else {"before": before}
        return Contender(run, numbers, self.case.steps, self.device, **settings)

    def of_outputs(self, compute: Callable) -> Contender:
        """A contender that computes this function of each batch, on the device of this problem."""
        return of_outputs(compute, [X for X, _ in self.batches], lambda A: A.detach().double().norm(), self.device)

    def numbers(self) -> list[float]:
        """The mean cost of a pass, and the distance between the parameters and their initial values."""
        with torch.no_grad():
            gone = sum(float(((p - q).double() ** 2).sum()) for p, q in zip(self.flat(), self.first, strict=True))
        return [float(self.total) / self.case.steps, gone**0.5]

    def step(self, X: Tensor, Y: Tensor) -> None:
        """Forward, backward and update, as in PyTorch's tutorials, and the running cost."""
        cost = mean_cost(self.case, self.params, X, Y)
        self.optimizer.zero_grad()
        cost.backward()
        self.optimizer.step()
        self.total += cost.detach()
