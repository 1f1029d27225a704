"""The summary's numbers are those of the arrays themselves, and its table holds them all."""

import tracemalloc
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import Adam, Dense, Dropout, MLPClassifier, Model, PReLU, Sequential, summary
from xpnet.equations.activations import ELU, Linear
from xpnet.equations.layers import Parameter, Training
from xpnet.program import record
from xpnet.program.numpy import Replay
from xpnet.program.plan import plan

DIGITS = Model(Sequential(Dense(100, "relu"), Dense(10)), loss="cross_entropy")


def test_digits_row_by_row():
    of = summary(DIGITS, 64, batch_size=32, dtype="float32")
    assert [row.layer for row in of.rows] == ["input", "1 Dense", "2 Dense", "link Softmax"]
    equations = "X", "A = relu(X W + b)", "A = X W + b", "a_j = e^z_j / sum_k e^z_k"
    assert tuple(row.equation for row in of.rows) == equations
    assert [row.shape for row in of.rows] == [(64,), (100,), (10,), (10,)]
    assert [row.n_parameters for row in of.rows] == [0, 64 * 100 + 100, 100 * 10 + 10, 0]
    assert [row.flops for row in of.rows] == [0, 2 * 64 * 100, 2 * 100 * 10, 0]
    assert [row.n_bytes for row in of.rows] == [0, 4 * 6500, 4 * 1010, 0]
    assert [row.activation_bytes for row in of.rows] == [32 * n * 4 for n in (64, 100, 10)] + [0]


def test_totals_are_those_of_the_arrays(dtype):
    of = summary(DIGITS, 64, batch_size=50, dtype=dtype)
    state = DIGITS.initial(np.random.default_rng(0), 64, Adam())
    theta = state.theta.astype(dtype)
    assert of.n_parameters == theta.size == DIGITS.layout(64).n_parameters
    assert of.n_bytes == theta.nbytes
    A, kept = np.ones((50, 64), dtype), 50 * 64 * theta.itemsize
    for layer, params in zip(DIGITS.network.layers, DIGITS.layout(64).unpack(theta), strict=True):
        A, _ = layer.forward(params, A)
        kept += A.nbytes
    assert of.activation_bytes == kept


def test_flops_are_what_the_products_cost():
    """Against a count of multiplications and additions, made by numbers that count."""
    counted = 0

    class Counting(float):
        def __mul__(self, other):
            nonlocal counted
            counted += 1
            return Counting(float(self) * float(other))

        def __add__(self, other):
            nonlocal counted
            counted += 1
            return Counting(float(self) + float(other))

        __radd__ = __add__

    numbers = lambda *shape: np.array([Counting(1)] * int(np.prod(shape)), dtype=object).reshape(shape)
    _ = sum(numbers(1, 7)[0, j] * numbers(7, 5)[j, k] for k in range(5) for j in range(7))
    assert summary(Sequential(Dense(5)), 7).flops == counted == 2 * 7 * 5


def test_a_gradient_costs_what_its_operations_do():
    m, of = 32, summary(DIGITS, 64, batch_size=32, dtype="float32")
    forward, backward = 2 * m * (64 * 100 + 100 * 10), 2 * m * (64 * 100 + 100 * 10 + 10 * 100)
    assert of.gradient.product_flops == forward + backward == 2 * m * of.flops + 2 * m * 10 * 100
    biases, relu, derivative, sums = m * 110, m * 100, m * 100, m * 110
    assert of.gradient.flops == of.gradient.product_flops + biases + relu + derivative + sums


@pytest.mark.parametrize("batch_size", [32, 2000])
def test_a_gradients_memory_is_that_of_its_replay(batch_size):
    network = Sequential(Dense(100, "tanh"), Dropout(0.5), PReLU(), Dense(80, ELU(0.7)), Dense(10))
    layout = Model(network).layout(64)
    rng = np.random.default_rng(0)
    theta, X, dZ = (rng.normal(size=n) for n in (layout.n_parameters, (batch_size, 64), (batch_size, 10)))
    of = summary(network, 64, batch_size).gradient

    def gradient(theta, key, X, dZ):
        _, backward = network.forward(layout.unpack(theta), X, Training(key))
        return layout.pack(backward(dZ))

    inputs = [theta, np.asarray(3.0), X, dZ]
    replay = Replay(plan(record(gradient, *inputs)), inputs)
    tracemalloc.start()
    gradient(*inputs)
    defined = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    replay()
    np.testing.assert_allclose(replay.outputs[0], gradient(*inputs))
    assert replay.memory.nbytes == of.n_bytes < 1.01 * defined


def test_equations_are_the_layers_own():
    network = Sequential(Dense(4, ELU(0.5), bias=False), PReLU(), Dense(4, Linear(2.0)), Dense(2, "softmax"))
    assert [row.equation for row in summary(network, 3).rows] == [
        "X",
        "A = elu(X W)",
        "a = z if z >= 0, else alpha_j z",
        "A = linear(X W + b)",
        "A = softmax(X W + b)",
    ]


@dataclass(frozen=True)
class Centred:
    """A layer of the user's own."""

    equation = "A = X - mean of X"

    def shapes(self, in_shape):
        return (), in_shape

    def forward(self, params, X, train=None):
        raise AssertionError("a summary computes nothing")


@dataclass(frozen=True)
class Silent:
    n: int

    def shapes(self, in_shape):
        return (Parameter("K", (3, 3, in_shape[2], self.n), "weight"),), (in_shape[0] - 2, in_shape[1] - 2, self.n)

    def forward(self, params, X, train=None):
        raise AssertionError("a summary computes nothing")


class Named(Silent):
    """Something else."""

    equation = "A = X * K"


def test_layers_of_ones_own_appear():
    of = summary(Sequential(Centred(), Silent(5), Named(2)), (8, 8, 3))
    assert [row.equation for row in of.rows[1:]] == ["A = X - mean of X", "Silent", "A = X * K"]
    assert [row.layer for row in of.rows[1:]] == ["1 Centred", "2 Silent", "3 Named"]
    assert [row.shape for row in of.rows] == [(8, 8, 3), (8, 8, 3), (6, 6, 5), (4, 4, 2)]
    assert of.rows[2].flops == 2 * (3 * 3 * 3) * (6 * 6 * 5)  # a kernel counts at every place
    assert "K 3×3×3×5" in str(of)
    assert of.gradient is None
    assert "gradient" not in str(of)


def test_an_estimator_knows_its_features_and_dtype():
    X, y = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32), np.arange(30) % 3
    model = make_pipeline(StandardScaler(), MLPClassifier((6,), max_iter=300, tol=1.0).fit(X, y))
    of = summary(model)
    assert (of.dtype, of.batch_size) == ("float32", 200)
    assert of.n_bytes == sum(a.nbytes for a in (*model[-1].coefs_, *model[-1].intercepts_))


@pytest.mark.parametrize(
    ("dtype", "parameter", "activation"), [("float64", 8, 8), ("float32", 4, 4), ("tf32", 4, 4), ("bfloat16", 4, 2)]
)
def test_precisions(dtype, parameter, activation):
    model = Model(Sequential(Dense(3, bias=False)), precision=dtype)
    of = summary(model, 2, batch_size=1)
    assert (of.dtype, of.n_bytes, of.activation_bytes) == (dtype, 6 * parameter, 5 * activation)


def test_the_table_is_aligned_and_complete():
    lines = str(summary(DIGITS, 64)).splitlines()
    head, rule, *rows, rule_again, total = lines[:-3]
    assert rule == rule_again == "-" * len(head)
    assert max(map(len, [*rows, total])) == len(head)
    assert len(rows) == 4
    assert [row[head.index("number") + 1 :].split()[0] for row in (rows[1], rows[2], total)] == [
        "6,500",
        "1,010",
        "7,510",
    ]
    assert "2 n_in n_out" in lines[-2]
    assert "float64, batches of 200" in lines[-3]


def test_the_prompt_shows_the_table():
    of = summary(DIGITS, 64)
    assert repr(of) == str(of)
    assert repr(of).startswith("layer ")


def test_the_notebooks_table_holds_the_same_cells():
    of = summary(Model(Sequential(Dense(3, "sigmoid")), "half_squared_error"), 2)
    html = of._repr_html_()
    tree = ElementTree.fromstring(f"<div>{html}</div>")
    cells = [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]
    assert len(cells) == 1 + 2 + 1
    assert cells[2][:4] == ["1 Dense", "A = sigmoid(X W + b)", "3", "W 2×3, b 3"]
    assert all(len(row) == 8 for row in cells)


def test_it_is_frozen_and_names_mistakes():
    of = summary(DIGITS, 64)
    with pytest.raises(AttributeError):
        of.batch_size = 3
    with pytest.raises(ValueError, match=r"batch_size is 0; it must be a whole number"):
        summary(DIGITS, 64, batch_size=0)
    with pytest.raises(ValueError, match=r"precision is 'float16'; allowed"):
        summary(DIGITS, 64, dtype="float16")
    with pytest.raises(ValueError, match=r"n_features is missing"):
        summary(DIGITS)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_800, "12.8 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (3.4e12, "3.4 TB"),
    ],
)
def test_bytes_in_the_unit_that_fits(n, text):
    from xpnet.inspection.subject import by_size

    assert by_size(n) == text
