"""When values are computed, and where they lie."""

import numpy as np
import pytest

from xpnet import Adam, Dense, GradientDescent, Model, Sequential
from xpnet.backends import array_namespace
from xpnet.program import plan as planning, record
from xpnet.program.numpy import Replay
from xpnet.program.plan import plan
from xpnet.program.plan_items import MEMORY, SCRATCH, rounded
from xpnet.program.recorder import leaves
from xpnet.program.steps import Batch, Carry
from xpnet.step import StepScalars, training_step


def operations(planned):
    return [x.operation for item in planned.items for x in item.operations]


def test_operations_that_no_output_needs_are_left_out():
    def function(x):
        xp = array_namespace(x)
        xp.exp(x)
        return xp.sum(x * 2.0)

    assert operations(plan(record(function, np.zeros(3)))) == ["multiply", "sum"]


def test_a_view_takes_no_operation_and_no_memory():
    def function(x):
        xp = array_namespace(x)
        return xp.sum(xp.matrix_transpose(x)[1:, ...], axis=1)

    planned = plan(record(function, np.zeros((3, 4))))
    assert operations(planned) == ["sum"]
    assert planned.memory == 3 * 8


def test_a_chain_takes_the_memory_of_one_array():
    def function(x):
        xp = array_namespace(x)
        for _ in range(6):
            x = xp.tanh(x * 0.5 + 1.0)
        return x

    assert plan(record(function, np.zeros(1000))).memory == 8000


def test_values_that_are_still_needed_are_not_overwritten():
    def function(x):
        a = x + 1.0
        b = a * 2.0
        return a, b

    planned = plan(record(function, np.zeros(100)))
    assert planned.memory == rounded(800) + 800
    x = np.arange(100.0)
    replay = Replay(planned, [x])
    replay()
    np.testing.assert_array_equal(replay.outputs, [x + 1.0, 2.0 * (x + 1.0)])


def test_where_may_overwrite_only_its_second_choice():
    def function(x):
        xp = array_namespace(x)
        yes, no = x * 2.0, x * 3.0
        return xp.where(x > 0.0, yes, no)

    x = np.array([-1.0, 2.0, -3.0])
    planned = plan(record(function, x))
    replay = Replay(planned, [x])
    replay()
    np.testing.assert_array_equal(replay.outputs[0], [-3.0, 4.0, -9.0])
    chosen = next(v for item in planned.items for v in item.operations if v.operation == "where")
    assert planned.places[chosen] == planned.places[chosen.operands[2]]


def test_parts_of_a_concatenation_are_computed_in_place():
    def function(x, W):
        xp = array_namespace(x)
        return xp.concat([xp.reshape(x @ W, (-1,)), xp.sum(x, axis=0)])

    planned = plan(record(function, np.zeros((5, 3)), np.zeros((3, 2))))
    assert operations(planned) == ["matmul", "sum"]
    assert planned.memory == (5 * 2 + 3) * 8
    assert sorted(place.offset for place in planned.places.values()) == [0, 0, 5 * 2 * 8]


def test_a_part_that_is_used_twice_or_is_an_input_is_copied():
    def function(x):
        xp = array_namespace(x)
        y = x + 1.0
        return xp.concat([y, y]), xp.concat([x, y])

    x = np.arange(3.0)
    replay = Replay(plan(record(function, x)), [x])
    replay()
    np.testing.assert_array_equal(replay.outputs[0], np.tile(x + 1.0, 2))
    np.testing.assert_array_equal(replay.outputs[1], [*x, *(x + 1.0)])


def test_outputs_overwrite_inputs():
    planned = plan(record(lambda x, g: (x - 0.1 * g, x), np.zeros(100), np.zeros(100)), {0: 0})
    assert planned.copies == [(planned.outputs[0], 0)]  # the other output needs the old values
    planned = plan(record(lambda x, g: (x - 0.1 * g,), np.zeros(100), np.zeros(100)), {0: 0})
    assert planned.copies == []
    assert planned.places[planned.outputs[0]] == (0, 0)
    assert planned.memory == 800


def test_two_inputs_are_swapped():
    a, b = np.arange(5.0), -np.arange(5.0)
    replay = Replay(plan(record(lambda a, b: (b, a), a, b), {0: 0, 1: 1}), [a, b])
    replay()
    np.testing.assert_array_equal(a, -np.arange(5.0))
    np.testing.assert_array_equal(b, np.arange(5.0))


# --- groups and blocks


def grouped(x):
    xp = array_namespace(x)
    E = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return E / xp.sum(E, axis=-1, keepdims=True)


def test_neighbors_over_the_same_rows_are_a_group():
    (item,) = plan(record(grouped, np.zeros((200, 10)))).items
    assert [x.operation for x in item.operations] == ["max", "subtract", "exp", "sum", "divide"]
    assert (item.n_rows, item.block, item.scratch) == (200, 0, 0)


def test_a_large_group_is_computed_in_blocks_of_rows(monkeypatch):
    monkeypatch.setattr(planning, "BLOCK", 100)
    planned = plan(record(grouped, np.zeros((200, 10))))
    (item,) = planned.items
    assert (item.n_rows, item.block) == (200, 10)
    assert item.scratch == rounded(10 * 8) + 10 * 10 * 8
    assert planned.memory == rounded(200 * 10 * 8) + rounded(item.scratch)
    assert {place.root for place in planned.places.values()} == {MEMORY, SCRATCH}
    x = np.random.default_rng(0).normal(size=(200, 10))
    replay = Replay(planned, [x])
    replay()
    np.testing.assert_allclose(replay.outputs[0], grouped(x), rtol=1e-14)


def test_a_product_ends_a_group():
    planned = plan(record(lambda x, W: ((x + 1.0) @ W) * 2.0, np.zeros((6, 4)), np.zeros((4, 4))))
    assert [[x.operation for x in item.operations] for item in planned.items] == [["add"], ["matmul"], ["multiply"]]


# --- training steps


def a_step(optimizer, sizes, m, **settings):
    """The program of a training step, and its plan; the parameters and slots are overwritten."""
    model = Model(Sequential(*(Dense(n, "relu") for n in sizes[1:-1]), Dense(sizes[-1])), "cross_entropy", **settings)
    layout = model.layout(sizes[0])
    vector, zero = np.zeros(layout.n_parameters), np.zeros(())
    scalars = StepScalars(zero, zero, tuple(zero for _ in optimizer.scalars(1, 0.1)))
    rule = type(optimizer.scalars(1, 0.1))
    step = training_step(model, layout, optimizer)
    carry = Carry(vector, (vector,) * optimizer.slots, zero)
    batch = Batch(np.zeros((m, sizes[0])), np.zeros((m, sizes[-1])), None)

    def function(carry, batch, scalars):
        of_rule = rule(*scalars.rule) if hasattr(rule, "_make") else scalars.rule
        return step(carry, batch, scalars._replace(rule=of_rule))

    program = record(function, carry, batch, scalars)
    return program, plan(program, {k: k for k in range(2 + optimizer.slots)})


def test_the_products_of_a_step_are_those_of_the_equations():
    program, _ = a_step(GradientDescent(0.1), (784, 256, 10), 128)
    forward = 2 * 128 * (784 * 256 + 256 * 10)
    assert program.product_flops == 2 * forward + 2 * 128 * 256 * 10  # dW of both layers, dA of the second alone


@pytest.mark.parametrize("optimizer", [GradientDescent(0.1), Adam(0.1)], ids=repr)
def test_parameters_are_updated_as_soon_as_the_old_ones_are_not_needed(optimizer, monkeypatch):
    """Thus each part of the gradient is freed before the next one is computed."""
    monkeypatch.setattr(planning, "BLOCK", 1000)
    sizes, m = (300, 200, 100, 10), 20
    _, planned = a_step(optimizer, sizes, m, l2=0.1)
    assert planned.copies == []
    products = [x for item in planned.items for x in item.operations if x.operation == "matmul"]
    gradients = [x for x in products if x.shape in ((300, 200), (200, 100))]
    places = {planned.places[x] for x in gradients}
    assert all(root == MEMORY for root, _ in places)
    # Two gradients as large as the weights are never in memory together.
    assert planned.memory < 8 * (300 * 200 + 200 * 100 + 4 * m * 300)


def test_a_short_vector_is_one_operation_and_a_long_one_is_in_parts(monkeypatch):
    def function(a, b, t):
        xp = array_namespace(a)
        return t - 0.1 * xp.concat([a * 2.0, b + 1.0])

    a, b, t = np.zeros(30), np.zeros(20), np.zeros(50)
    assert sorted(operations(plan(record(function, a, b, t)))) == ["add", "multiply", "multiply", "subtract"]
    monkeypatch.setattr(planning, "BLOCK", 40)
    found = sorted(operations(plan(record(function, a, b, t), {0: 2})))
    assert found == ["add", "multiply", "multiply", "multiply", "subtract", "subtract"]


# --- orders that once were wrong


def agrees(function, *arrays, overwrites=None):
    """Assert that the replay of a function computes what the function computes."""
    expected = [np.array(a) for a in leaves(function(*(a.copy() for a in arrays)))]
    replay = Replay(plan(record(function, *arrays), overwrites), [a.copy() for a in arrays])
    replay.memory[...] = 0xA5
    replay()
    for found, wanted in zip(replay.outputs, expected, strict=True):
        np.testing.assert_allclose(found, wanted)


def test_an_update_waits_for_the_parts_of_a_concatenation_within_another(rng):
    def function(x, y):
        xp = array_namespace(x)
        inner = xp.concat([x * 2.0, x * 3.0])
        outer = xp.concat([inner, inner[1:3]])
        return outer, y + 1.0, xp.max(inner)

    agrees(function, rng.normal(size=4), rng.normal(size=2), overwrites={1: 1})


def test_numbers_that_depend_on_inputs_alone_come_after_their_operands(rng):
    def function(x, y):
        xp = array_namespace(x)
        rows = xp.concat([x, x, y])[:3, :]
        tanh = xp.tanh(xp.sum(y, axis=1, keepdims=True))
        many = xp.broadcast_to(tanh, (3, 7, 1))
        parts = xp.concat([rows, rows, rows])
        mean = xp.mean(xp.reshape(many, (21,)))
        return xp.flip(parts, axis=0), rows + mean, mean, many, xp.where(y > 0.0, y, x)

    agrees(function, rng.normal(size=(7, 5)), rng.normal(size=(7, 5)), overwrites={4: 0})


def test_views_of_no_elements():
    agrees(lambda x: array_namespace(x).concat([array_namespace(x).flip(x[4:2]), x]), np.arange(5.0))


@pytest.mark.parametrize("arranged", [np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]])
def test_a_constant_may_have_any_memory_layout(arranged, rng):
    constant = arranged(rng.normal(size=(3, 4)))

    def function(x):
        return x * array_namespace(x).asarray(constant)[1]

    agrees(function, rng.normal(size=4))


def test_flip_of_a_number():
    agrees(lambda x: array_namespace(x).flip(x) * 2.0, np.asarray(1.0))


def test_indices_are_checked():
    def function(x, at):
        return array_namespace(x).take(x, at)

    agrees(function, np.arange(4.0), np.asarray([3, -4]))
    with pytest.raises(IndexError):
        Replay(plan(record(function, np.arange(4.0), np.asarray([0]))), [np.arange(4.0), np.asarray([5])])()
    with pytest.raises(IndexError, match="along an axis of 4"):
        record(lambda x: function(x, array_namespace(x).asarray([5, -9])), np.arange(4.0))
