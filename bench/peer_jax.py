"""JAX's contenders: a step and its update in one jitted function, whose state is donated; forward and predict."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leave memory to the other contenders

import jax
import jax.numpy as jnp
from cases import OPTIMIZERS, Case
from contender import Contender, Device, of_outputs

PRECISIONS = {"tf32": "tensorfloat32", "bfloat16": "bfloat16"}


def about() -> str:
    """The version and the device."""
    return f"JAX {jax.__version__} on {jax.default_backend()}"


def has_gpu() -> bool:
    """Whether JAX's default device is a GPU."""
    return jax.default_backend() != "cpu"


def forget() -> None:
    """Free the memory of a case."""
    jax.clear_caches()


def build(case: Case, name: str, device: str) -> Contender:
    """A contender for the path of a case, on JAX's default device."""
    jax.config.update("jax_enable_x64", case.precision == "float64")
    # On a GPU JAX's own default is TF32 for float32.
    jax.config.update("jax_default_matmul_precision", PRECISIONS.get(case.precision, "highest"))
    X, Y = (list(map(jnp.asarray, case.batches(array))) for array in case.data()[:2])
    params = jax.tree.map(jnp.asarray, case.layers(case.theta()))
    if case.path == "step":
        return _training(case, params, list(zip(X, Y, strict=True)))
    is_softmax = case.path == "predict" and case.hidden != "sigmoid"
    output = jax.jit(lambda params, X: (jax.nn.softmax if is_softmax else lambda Z: Z)(_output(case, params, X)))
    last: list = []

    def compute(X: Any) -> Any:
        last[:] = [output(params, X)]
        return last[0]

    return of_outputs(compute, X, jnp.linalg.norm, _waiting_for(lambda: last))


def _output(case: Case, params: Any, X: Any) -> Any:
    f = jax.nn.sigmoid if case.hidden == "sigmoid" else jax.nn.relu
    narrow = case.precision == "bfloat16"
    for k, (W, b) in enumerate(params):
        if narrow:
            X, W, b = (a.astype(jnp.bfloat16) for a in (X, W, b))
        X = X @ W + b
        if k < len(params) - 1:
            X = f(X)
    return X.astype(jnp.float32) if narrow else X


def _cost(case: Case, params: Any, X: Any, Y: Any) -> Any:
    Z = _output(case, params, X)
    if case.hidden == "sigmoid":
        return 0.5 * jnp.sum((Z - Y) ** 2) / X.shape[0]
    return -jnp.sum(Y * jax.nn.log_softmax(Z)) / X.shape[0]


def _step(case: Case, carry: tuple, X: Any, Y: Any) -> tuple:
    params, m, v, t, total = carry
    rule, t = OPTIMIZERS[case.optimizer], t + 1
    cost, g = jax.value_and_grad(partial(_cost, case))(params, X, Y)
    if case.optimizer == "Adam":
        m = jax.tree.map(lambda m, g: m + (1.0 - rule.beta_1) * (g - m), m, g)
        v = jax.tree.map(lambda v, g: v + (1.0 - rule.beta_2) * (g * g - v), v, g)
        alpha = rule.learning_rate * jnp.sqrt(1.0 - rule.beta_2**t) / (1.0 - rule.beta_1**t)
        g = jax.tree.map(lambda m, v: alpha.astype(m.dtype) * m / (jnp.sqrt(v) + rule.epsilon), m, v)
        params = jax.tree.map(jnp.subtract, params, g)
    else:
        params = jax.tree.map(lambda p, g: p - rule.learning_rate * g, params, g)
    return params, m, v, t, total + cost


def _training(case: Case, params: Any, batches: list) -> Contender:
    step = jax.jit(partial(_step, case), donate_argnums=0)
    zeros = jax.tree.map(jnp.zeros_like, params) if case.optimizer == "Adam" else ()
    first = jax.tree.map(jnp.array, params)
    carry = jax.tree.map(jnp.array, (params, zeros, zeros, jnp.asarray(0.0), jnp.zeros((), batches[0][0].dtype)))

    def run() -> None:
        nonlocal carry
        carry = (*carry[:-1], jnp.zeros_like(carry[-1]))
        for X, Y in batches:
            carry = step(carry, X, Y)

    def numbers() -> list[float]:
        gone = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), carry[0], first)
        return [float(carry[-1]) / case.steps, float(sum(jax.tree.leaves(gone))) ** 0.5]

    return Contender(run, numbers, case.steps, _waiting_for(lambda: carry))


def _waiting_for(last: Callable[[], Any]) -> Device:
    """JAX has no events: wait for the last result, after which nothing of this contender runs."""
    return Device(wait=lambda: jax.block_until_ready(last()))
