"""The probes of ``gpu_probe.py``: what the CuPy border rests on. Each returns what it found, or raises."""

from collections.abc import Callable
from itertools import islice, product
from statistics import median
from typing import Any

import numpy as np

Figures = dict[str, Any]
TOLERANCE = {"float32": 1e-5, "tf32": 2e-3, "bfloat16": 1e-2}
SHAPES = [(65536, 1024), (65536, 128), (65536, 10), (4096, 4096)]


def seconds(*functions: Callable[[], object], n: int = 20) -> list[float]:
    """Device seconds a call, the median of seven rounds in which the functions take turns."""
    import cupy

    rounds = []
    for _ in range(8):  # the first one warms up
        rounds.append([])
        for function in functions:
            first = cupy.cuda.get_current_stream().record()
            for _ in range(n):
                function()
            last = cupy.cuda.get_current_stream().record()
            last.synchronize()
            rounds[-1].append(cupy.cuda.get_elapsed_time(first, last) / 1e3 / n)
    return [median(of_one) for of_one in zip(*rounds[1:], strict=True)]


def normal(*shape: int, dtype: Any = "float32") -> Any:
    """Random numbers on the GPU."""
    import cupy

    return cupy.asarray(np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape, np.float32)).astype(dtype)


def error_of(found: Any, wanted: Any) -> float:
    """||found - wanted|| / ||wanted||; NaN is an error of infinity."""
    import cupy

    found, wanted = found.astype(cupy.float64), wanted.astype(cupy.float64)
    ratio = float(cupy.linalg.norm(found - wanted) / cupy.linalg.norm(wanted))
    return ratio if ratio == ratio else float("inf")


def own_blas() -> tuple[Callable[..., bool], Any]:
    """``product`` of a cuBLASLt handle of our own, and the workspace that must outlive it."""
    import cupy

    from xpnet.backends import cublas

    workspace = cupy.empty(32 << 20, cupy.uint8)
    return cublas.Lt(cublas.load(), workspace.data.ptr, workspace.nbytes).product, workspace


def captured(step: Callable[[Any], object]) -> tuple[Any, Any]:
    """``step(stream)`` in a CUDA graph, after one call that warms up; the graph and its stream."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        step(stream)
        stream.synchronize()
        stream.begin_capture()
        try:
            step(stream)
        finally:
            graph = stream.end_capture()
    return graph, stream


def cupy_matmul_under_capture() -> Figures:
    """CuPy refuses to capture its matrix products, which is why the border has its own."""
    import cupy

    A, out = normal(64, 64), normal(64, 64)
    try:
        captured(lambda stream: cupy.matmul(A, A, out=out))
    except NotImplementedError as error:
        return {"raises": str(error)}
    raise AssertionError("CuPy captured a matrix product: the border's own product may no longer be needed")


def own_product_captured_and_replayed() -> Figures:
    """A product of our own, captured once, computes anew at each replay from what its arrays then hold."""
    import cupy

    blas, workspace = own_blas()
    found: Figures = {}
    for m, k, n in [(512, 784, 512), (784, 512, 512), (4096, 4096, 4096)]:
        A, B, out = normal(m, k), normal(k, n), cupy.full((m, n), cupy.nan, cupy.float32)
        graph, stream = captured(lambda stream, A=A, B=B, out=out: blas(A, B, out, stream=stream.ptr))
        for factor in (1.0, -3.0):
            A *= factor
            out.fill(cupy.nan)
            cupy.cuda.Device().synchronize()
            graph.launch(stream)
            stream.synchronize()
            error = error_of(out, A.astype(cupy.float64) @ B.astype(cupy.float64))
            assert error < TOLERANCE["float32"], f"({m}, {k}) x ({k}, {n}): error {error:.1e}"
        own, of_cupy = seconds(
            lambda A=A, B=B, out=out: blas(A, B, out, stream=cupy.cuda.get_current_stream().ptr),
            lambda A=A, B=B, out=out: cupy.matmul(A, B, out=out),
        )
        found[f"{m}x{k}x{n}"] = f"{2e-12 * m * k * n / own:.1f} TFLOP/s, cupy.matmul {2e-12 * m * k * n / of_cupy:.1f}"
    assert workspace is not None
    return found


def private_pool_soak() -> Figures:
    """A graph whose temporaries lie in a pool of its own stays right while others allocate, write and free."""
    import cupy

    blas, workspace = own_blas()
    A, W, out, pool = normal(512, 512), normal(512, 512), normal(512, 512), cupy.cuda.MemoryPool()

    def step(stream: Any) -> None:
        Z = cupy.empty((512, 512), cupy.float32)
        blas(A, W, Z, stream=stream.ptr)
        out[...] = cupy.maximum(Z + 1.0, 0.0) - cupy.tanh(Z)

    with cupy.cuda.using_allocator(pool.malloc):
        graph, stream = captured(step)
    Z = A @ W
    wanted, rng, n_replays = cupy.maximum(Z + 1.0, 0.0) - cupy.tanh(Z), np.random.default_rng(0), 500
    for i in range(n_replays):
        garbage = [cupy.full(int(rng.integers(1, 1 << 20)), cupy.nan, cupy.float32) for _ in range(4)]
        graph.launch(stream)
        stream.synchronize()
        error = error_of(out, wanted)
        assert error < 1e-4, f"replay {i}: error {error:.1e}"
        del garbage
    assert workspace is not None
    return {"replays": n_replays, "MiB in the pool": pool.total_bytes() / 2**20}


def kernels_on_the_fast_engine() -> Figures:
    """Every activation, loss and rule trains on CuPy; a kernel off the fast engine is an error of the border's."""
    import cupy

    from xpnet import Dense, Model, Sequential, activations, epochs, losses
    from xpnet.equations.optimizers import Adam, AdamW, GradientDescent, Momentum

    X, Y = np.random.default_rng(0).random((64, 8), np.float32), np.eye(4, dtype=np.float32)[np.arange(64) % 4]
    rules = (GradientDescent(0.01), Momentum(0.01), Momentum(0.01, nesterov=True), Adam(), AdamW())
    trainings = [(f, loss, rules[0]) for f, loss in product(activations.BY_NAME, losses.BY_NAME)]
    trainings += [("relu", "cross_entropy", rule) for rule in rules]
    for f, loss, rule in trainings:
        model = Model(Sequential(Dense(16, f), Dense(4)), loss=loss, l1=1e-4, l2=1e-4)
        rng = np.random.default_rng(0)
        for _, cost in islice(
            epochs(model, model.initial(rng, 8, rule), X, Y, batch_size=32, rng=rng, backend="cupy"), 1
        ):
            assert np.isfinite(cost), f"{f}, {loss}, {rule}: cost {cost}"
    relu, found = activations.BY_NAME["relu"], {"trainings": len(trainings)}
    for dtype in ("float32", "float64"):
        Z, b = normal(65536, 1024, dtype=dtype), normal(1024, dtype=dtype)
        target = cupy.empty_like(Z)
        ours, copy = seconds(lambda Z=Z, b=b: relu.forward(Z, b), lambda Z=Z, target=target: cupy.copyto(target, Z))
        found[f"bias and relu, {dtype}"] = f"{2e-9 * Z.nbytes / ours:.0f} GB/s, copy {2e-9 * Z.nbytes / copy:.0f}"
    return found


def column_sums() -> Figures:
    """sum_i dZ_i three ways: CuPy's sum, a product with ones, and a sum of 64 rows' sums."""
    import cupy

    found: Figures = {}
    for m, n in SHAPES:
        g, ones = normal(m, n), cupy.ones((1, m), cupy.float32)
        ways = {
            "sum": lambda g=g: cupy.sum(g, axis=0),
            "ones": lambda g=g, ones=ones: cupy.matmul(ones, g)[0],
            "two-stage": lambda g=g, n=n: cupy.sum(cupy.sum(g.reshape(-1, 64, n), axis=1), axis=0),
        }
        times = seconds(*ways.values())
        wanted = cupy.sum(g.astype(cupy.float64), axis=0)
        errors = [error_of(way(), wanted) for way in ways.values()]
        said = zip(ways, times, errors, strict=True)
        found[f"{m}x{n}"] = ", ".join(f"{way} {1e-9 * g.nbytes / t:.0f} GB/s (error {e:.0e})" for way, t, e in said)
    return found


def epilogues() -> Figures:
    """cuBLASLt's bias, relu and column sums beside the product, held against float64; and what they save."""
    import cupy
    import ml_dtypes

    blas, workspace = own_blas()
    found: Figures = {}
    here, wrong = cupy.cuda.get_current_stream().ptr, []
    for precision, size in product(TOLERANCE, (512, 4096)):
        dtype = ml_dtypes.bfloat16 if precision == "bfloat16" else "float32"
        A, B, b = (normal(*shape, dtype=dtype) for shape in ((size, size), (size, size), (size,)))
        out, sums = cupy.empty((size, size), dtype), cupy.empty((size,), dtype)
        settings = {"stream": here, "precision": "tf32" if precision == "tf32" else "float32"}
        wide = A.astype("float64") @ B.astype("float64")
        biased = wide + b.astype("float64")
        cases = {
            "plain": ({}, out, wide),
            "bias": ({"bias": b}, out, biased),
            "bias and relu": ({"bias": b, "relu": True}, out, cupy.maximum(biased, 0.0)),
            "column sums": ({"column_sums": sums}, sums, cupy.sum(B.astype("float64"), axis=0)),
        }
        times = {}
        for name, (epilogue, result, wanted) in cases.items():
            result.fill(cupy.nan)
            if not blas(A, B, out, **settings, **epilogue):
                times[name] = "none"
                continue
            error = error_of(result, wanted)
            if error > TOLERANCE[precision]:
                wrong.append(f"{name} in {precision}, {size}: error {error:.1e}")
            (t,) = seconds(lambda e=epilogue, A=A, B=B, out=out, s=settings: blas(A, B, out, **s, **e))
            times[name] = f"{1e6 * t:.0f} us"
        found[f"{precision}, {size}"] = ", ".join(f"{name} {said}" for name, said in times.items())
    assert not wrong, "; ".join(wrong)
    assert workspace is not None
    return found


PROBES = {
    probe.__name__: probe
    for probe in (
        cupy_matmul_under_capture,
        own_product_captured_and_replayed,
        private_pool_soak,
        kernels_on_the_fast_engine,
        column_sums,
        epilogues,
    )
}
