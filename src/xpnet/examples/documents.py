"""The documents D0 to D4: their networks with small fixed data, their notation, and the place of each equation."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..backends import host
from ..equations.layers import Dense
from ..equations.losses import HalfSquaredError
from ..equations.optimizers import GradientDescent
from ..inspection.explanation import Explanation, Quantity, explain
from ..model import Model
from ..network import Sequential
from ..state import initial_state

DOCUMENTS = {
    "D0": "Neural Networks (tutorial), HyperionDev, 2024",
    "D1": "Simple neural network walkthrough, after Welch Labs' videos, 2018",
    "D2": "Neural Networks, Otis Saint, 2022",
    "D3": "Neural Network, Savoga, after Andrew Ng",
    "D4": "Neural Networks, Trần Minh Dương",
}

CITATIONS = {
    "Z": "D0 forward 1, 3; D1 forward; D2 (1), (2), (6), (7); D3 forward; D4 section 3",
    "dW": "D0 backward 2, 7; D1 ∂J/∂W; D2 (3), (8); D3 dω; D4 steps 2, 3",
    "db": "D0 backward 3, 8; D2 (9); D3 db; D4 step 5",
    "dA": "D0 backward 4; D1 ∂J/∂W; D2 (4), (11); D3 two layers; D4 step 3",
    "dZ": "D0 backward 5, 6; D1 ∂J/∂W; D2 (4), (11); D3 two layers; D4 step 3",
    "output": "D1 ∂J/∂W; D2 (5), (10); D4 steps 2, 3",
    "c": "D0 backward 2, 3, 7, 8: 1/m; D3 cost: 1/m; D1 cost: a sum",
    "J": "D1 cost; D2 section 2.1; D3 cost; D4 step 1",
    "penalty": "D0 L1, L2",
}
"""Where the documents have the equations that belong to no class; the README's table has the same names."""


@dataclass(frozen=True)
class Example:
    """A document's network, the parameters before one step, and its notation; ``printed`` are the numbers it prints."""

    title: str
    model: Model
    parameters: tuple
    X: Any
    Y: Any
    symbols: Mapping[str, str]
    printed: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 0.5

    def explanation(self, learning_rate: float | None = None, check: bool = True) -> Explanation:
        """The step explained in the document's notation, with the place of each equation in the documents."""
        nested = tuple(tuple(host.asarray(a, dtype=host.float64) for a in layer) for layer in self.parameters)
        theta = self.model.layout(len(self.X[0])).pack(nested)
        state = initial_state(theta, GradientDescent(learning_rate or self.learning_rate))
        step = explain(self.model, self.X, self.Y, state=state, check=check)
        step = step.beside(self.title, self.symbols, self.printed)
        quantities = tuple(replace(q, source=q.source or self._citation(q)) for q in step)
        references = tuple(f"{document}: {title}" for document, title in DOCUMENTS.items())
        return replace(step, quantities=quantities, references=references)

    def _citation(self, q: Quantity) -> str:
        """Where the documents have an equation that belongs to no class."""
        if q.section == "backward" and q.name == f"dZ{len(self.model.network.layers)}":
            return CITATIONS["output"]
        name = re.match(r"(?:sum )?(dA|dW|dZ|db|c|Z|J|L|penalty)(?=\d+$| |$)", q.name)
        return CITATIONS.get(name[1].replace("L", "J"), "") if name else ""


def feedforward() -> list[Example]:
    """D0: sigmoid hidden layer, softmax and cross-entropy, biases, L1 and L2."""
    model = Model(Sequential(Dense(2, "sigmoid"), Dense(3)), "cross_entropy", l1=0.01, l2=0.1)
    parameters = ([[0.5, -0.4], [0.3, 0.8]], [0.1, -0.1]), ([[0.6, -0.2, 0.1], [-0.5, 0.4, 0.9]], [0.0, 0.1, -0.1])
    X, Y = [[1.0, 0.5], [-0.5, 2.0], [0.0, -1.0], [2.0, 1.0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    symbols = {name: name for name in "X W1 b1 Z1 A1 W2 b2 Z2 A2 Y dZ2 db2 dA1 dZ1 db1".split()}
    symbols |= {"dW2": "dW2, with L1 and L2", "dW1": "dW1, with L1 and L2", "c": "1/m", "rate": "α"}
    symbols |= {f"{name} new": f"{name} −= α d{name}" for name in ("W1", "b1", "W2", "b2")}
    return [Example("D0: a feedforward network with bias terms", model, parameters, X, Y, symbols)]


def walkthrough() -> list[Example]:
    """D1: no biases, sigmoid throughout, J a sum; hours slept and studied, and the score, scaled to [0, 1]."""
    model = Model(Sequential(Dense(3, "sigmoid", bias=False), Dense(1, "sigmoid", bias=False)), reduction="sum")
    parameters = ([[0.4, -0.6, 0.2], [0.7, 0.3, -0.5]],), ([[0.8], [-0.3], [0.5]],)
    X, Y = [[0.3, 1.0], [0.5, 0.2], [1.0, 0.4]], [[0.75], [0.82], [0.93]]
    symbols = {"X": "X", "Y": "y", "W1": "W⁽¹⁾", "Z1": "z⁽²⁾", "A1": "a⁽²⁾", "W2": "W⁽²⁾", "Z2": "z⁽³⁾", "A2": "ŷ"}
    symbols |= {"J": "J", "dA2": "−(y − ŷ)", "dZ2": "−(y − ŷ) f′(z⁽³⁾)", "dW2": "∂J/∂W⁽²⁾", "dW1": "∂J/∂W⁽¹⁾"}
    symbols |= {"rate": "η", "W1 new": "W⁽¹⁾ − η ∂J/∂W⁽¹⁾", "W2 new": "W⁽²⁾ − η ∂J/∂W⁽²⁾"}
    return [Example("D1: a network with one hidden layer", model, parameters, X, Y, symbols)]


def perceptron_to_mlp() -> list[Example]:
    """D2: one perceptron with 1/(2r) squared error; an MLP of N = 2 hidden layers, φ = tanh and φ₀ = sigmoid."""
    model = Model(Sequential(Dense(1, "sigmoid")), HalfSquaredError(mean_over_outputs=True))
    parameters: tuple = (([[0.5], [-1.0], [0.25]], [0.1]),)
    symbols = {"X": "x", "Y": "y", "W1": "w", "b1": "b", "Z1": "a", "A1": "ŷ = σ(a)", "J": "ℒ"}
    symbols |= {"dA1": "ŷ − y", "dZ1": "(ŷ − y) σ′(a)", "dW1": "∂ℒ/∂w_k", "db1": "∂ℒ/∂b", "rate": "α"}
    symbols |= {"W1 new": "w_k − α (ŷ − y) σ′(a) x_k", "b1 new": "b − α (ŷ − y) σ′(a), corrected"}
    one = Example("D2, section 2: the perceptron", model, parameters, [[1.0, 2.0, -1.0]], [[1.0]], symbols)
    model = Model(Sequential(Dense(2, "tanh"), Dense(2, "tanh"), Dense(2, "sigmoid")))
    first, second = ([[0.4, -0.3], [0.2, 0.9], [-0.7, 0.1]], [0.1, 0.0]), ([[0.8, -0.6], [0.5, 0.3]], [0.0, -0.1])
    parameters = first, second, ([[0.7, -0.4], [-0.2, 0.6]], [0.05, 0.1])
    symbols = {"X": "x[0]", "Y": "y", "dA3": "ŷ − y", "A1": "x[1]", "A2": "x[2]", "A3": "ŷ = φ₀(a[3])", "rate": "α"}
    for k in (1, 2, 3):
        symbols |= {f"W{k}": f"w[{k}]", f"b{k}": f"b[{k}]", f"Z{k}": f"a[{k}]", f"dZ{k}": f"δ[{k}]"}
        symbols |= {f"dW{k}": f"∂ℒ/∂w[{k}]", f"db{k}": f"∂ℒ/∂b[{k}]"}
        symbols |= {f"W{k} new": f"(13) of w[{k}]", f"b{k} new": f"(14) of b[{k}]"}
    title = "D2, section 3: a multilayer perceptron"
    return [one, Example(title, model, parameters, [[0.5, -1.0, 2.0]], [[1.0, 0.0]], symbols)]


def logistic_regression_to_two_layers() -> list[Example]:
    """D3: flattened images of 2 x 2 pixels, binary cross-entropy; one layer, then two. Its columns are our rows."""
    X, Y = [[0.9, 0.1, 0.8, 0.2], [0.2, 0.7, 0.1, 1.0], [1.0, 0.3, 0.6, 0.0]], [[1.0], [0.0], [1.0]]
    symbols = {"X": "X, transposed", "Y": "Y, transposed", "W1": "ω", "b1": "b", "Z1": "z", "A1": "ŷ = a", "c": "1/m"}
    symbols |= {"J": "J(ω, b)", "dZ1": "a − y", "dW1": "dω", "db1": "db", "rate": "learning rate"}
    symbols |= {"W1 new": "w − learning rate dw", "b1 new": "b − learning rate db"}
    model = Model(Sequential(Dense(1)), "binary_cross_entropy")
    parameters: tuple = (([[0.2], [-0.1], [0.3], [-0.4]], [0.0]),)
    one = Example("D3: logistic regression, one layer", model, parameters, X, Y, symbols)
    symbols = {"X": "x, transposed", "Y": "y", "A1": "a[1]", "A2": "a[2]", "dZ2": "a[2] − y", "c": "1/m"}
    for k in (1, 2):
        symbols |= {f"W{k}": f"W[{k}], transposed", f"b{k}": f"b[{k}]", f"Z{k}": f"z[{k}]"}
        symbols |= {f"dW{k}": f"dW[{k}], transposed", f"db{k}": f"db[{k}]"}
    model = Model(Sequential(Dense(2, "sigmoid"), Dense(1)), "binary_cross_entropy")
    parameters = ([[0.2, -0.5], [-0.1, 0.4], [0.3, 0.6], [-0.4, 0.1]], [0.0, 0.1]), ([[0.7], [-0.6]], [0.2])
    return [one, Example("D3: two layers", model, parameters, X, Y, symbols)]


def worked_exercise() -> list[Example]:
    """D4: 2-2-1, ReLU, no biases, half squared error, η = 0.1, and every number that the document prints."""
    model = Model(Sequential(Dense(2, "relu", bias=False), Dense(1, "relu", bias=False)), reduction="sum")
    W1, W2, X, Y = [[2, 1], [-3, 4]], [[2], [-1]], [[1.0, -1.0]], [[0.0]]
    document: dict[str, tuple[str, Any]] = {
        "X": ("x_1, x_2", X),
        "Y": ("y_actual", Y),
        "W1": ("w_13 w_14; w_23 w_24", W1),
        "Z1": ("x_3, x_4", [[5, -3]]),
        "A1": ("y_3, y_4", [[5, 0]]),
        "W2": ("w_35; w_45", W2),
        "Z2": ("x_5", [[10]]),
        "A2": ("y_5 = y_output", [[10]]),
        "J": ("Loss", 50),
        "dA2": ("y_5 − y_actual", [[10]]),
        "dW2": ("∂Loss/∂w_35; ∂Loss/∂w_45", [[50], [0]]),
        "dW1": ("∂Loss/∂w_13 ∂Loss/∂w_14; ∂Loss/∂w_23 ∂Loss/∂w_24", [[20, 0], [-20, 0]]),
        "rate": ("η", 0.1),
        "W1 new": ("w_13 w_14; w_23 w_24, new", [[0, 1], [-1, 4]]),
        "W2 new": ("w_35; w_45, new", [[-3], [-1]]),
    }
    symbols = {name: symbol for name, (symbol, _) in document.items()}
    printed = {name: numbers for name, (_, numbers) in document.items()}
    return [Example("D4: the worked exercise", model, ((W1,), (W2,)), X, Y, symbols, printed, learning_rate=0.1)]


EXAMPLES: Mapping[str, Callable[[], list[Example]]] = {
    "exercise": worked_exercise,
    "D0": feedforward,
    "D1": walkthrough,
    "D2": perceptron_to_mlp,
    "D3": logistic_regression_to_two_layers,
    "D4": worked_exercise,
}
"""The documents' networks by the names that users give."""
