"""Products by cuBLASLt, against its emulation on host memory: what it is told, what it writes, what is kept."""

import ctypes
import gc
import itertools
import subprocess
import sys
import types
import weakref

import cublas_emulation as emulation
import numpy as np
import pytest
from cublas_emulation import CublasLt, empty, make_lt

from xpnet.backends import BackendUnavailableError, cublas, cublaslt
from xpnet.backends.cublas import CublasError

STREAM = 0x7FFE_1234_5678


@pytest.fixture
def library():
    return CublasLt()


@pytest.fixture
def lt(library):
    return make_lt(library)


@pytest.fixture(params=["float32", "float64", "float16", "bfloat16"])
def dtype(request):
    """What cuBLASLt multiplies; small whole numbers are exact in all of them."""
    if request.param == "bfloat16":
        return pytest.importorskip("ml_dtypes", reason="ml_dtypes, NumPy's bfloat16, is not installed").bfloat16
    return request.param


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


LAYOUTS = {
    "rows": lambda r, c, dtype: empty((r, c), dtype),
    "columns": lambda r, c, dtype: empty((r, c), dtype, order="F"),
    "transposed": lambda r, c, dtype: empty((c, r), dtype).T,
    "rows of a wider one": lambda r, c, dtype: empty((r, c + 3), dtype)[:, 1 : c + 1],
    "columns of a longer one": lambda r, c, dtype: empty((r + 3, c), dtype, order="F")[1 : r + 1, :],
    "every other row": lambda r, c, dtype: empty((2 * r, c), dtype)[::2, :],
    "later rows": lambda r, c, dtype: empty((r + 2, c), dtype, offset=8)[2:, :],
    "a flat vector's window": lambda r, c, dtype: empty((1 + r * c,), dtype)[1:].reshape(r, c),
}
SHAPES = [(5, 4, 3), (1, 4, 3), (5, 1, 3), (5, 4, 1), (1, 1, 3), (5, 1, 1), (1, 4, 1), (1, 1, 1)]


def laid_out(name, values):
    X = LAYOUTS[name](*values.shape, values.dtype)
    X[...] = values
    return X


def problem(shape=(5, 4, 3), dtype="float32", A="rows", B="rows", out_dtype=None):
    """A, B and room for their product."""
    M, K, N = shape
    A = laid_out(A, numbers((M, K), dtype))
    B = laid_out(B, numbers((K, N), dtype, seed=1))
    return A, B, empty((M, N), out_dtype or dtype)


def expected(A, B):
    return np.asarray(A, np.float64) @ np.asarray(B, np.float64)


def same(given, wanted):
    np.testing.assert_array_equal(np.asarray(given, np.float64), wanted)


# --- products


@pytest.mark.parametrize("A", LAYOUTS)
def test_the_product_for_every_layout_and_size(lt, library, dtype, A):
    for B, shape in itertools.product(LAYOUTS, SHAPES):
        X, Y, out = problem(shape, dtype, A, B)
        assert lt.product(X, Y, out, stream=STREAM)
        same(out, expected(X, Y))
    assert library.streams == [STREAM] * len(LAYOUTS) * len(SHAPES)
    assert library.workspaces == {(lt.workspace.data.ptr, lt.workspace.size)}
    assert library.refusals == []


def test_what_lies_beside_a_window_stays(lt, dtype):
    A, B, _ = problem(dtype=dtype)
    around = empty((9, 8), dtype)
    assert lt.product(A, B, around[2:7, 3:6], stream=0)
    same(around[2:7, 3:6], expected(A, B))
    around[2:7, 3:6] = 77
    assert (around == 77).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_strides_of_axes_of_length_one_say_nothing(lt, shape):
    A, B, out = problem(shape)
    for strides in (0, 3, -4, 10**9):
        odd = [
            np.lib.stride_tricks.as_strided(
                X, X.shape, [strides if n == 1 else s for n, s in zip(X.shape, X.strides, strict=True)], subok=True
            )
            for X in (A, B, out)
        ]
        out[...] = 77
        assert lt.product(*odd, stream=0)
        same(out, expected(A, B))


def test_sizes_may_be_longer_than_32_bits(lt, library):
    A, B, out = (
        np.lib.stride_tricks.as_strided(empty(shape, "float32"), shape, (1 << 36, 4), subok=True)
        for shape in ((5, 4), (4, 3), (5, 3))
    )
    library.statuses["cublasLtMatmul"] = 0  # nothing is there
    assert lt.product(A, B, out, stream=0)
    assert [X[emulation.LEADING] for X in library.queries[0][1:5]] == [1 << 34] * 4


@pytest.mark.parametrize("operands", ["float16", "bfloat16"])
def test_sixteen_bits_may_give_float32(lt, operands):
    if operands == "bfloat16":
        operands = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    A, B, out = problem(dtype=operands, out_dtype="float32")
    A[0, :], B[:, 0] = 200, 200  # more than bfloat16 holds exactly
    bias = empty(3, "float32")
    assert lt.product(A, B, out, stream=0, bias=bias)
    same(out, expected(A, B) + 77)


def test_precision_says_how_float32_is_multiplied(lt):
    A, B, out = empty((1, 1), "float32"), empty((1, 1), "float32"), empty((1, 1), "float32")
    A[...], B[...] = 1 + 2**-12, 1
    assert lt.product(A, B, out, stream=0)
    assert out[0, 0] == np.float32(1 + 2**-12)
    assert lt.product(A, B, out, stream=0, precision="tf32")
    assert out[0, 0] == 1


@pytest.mark.parametrize("other", ["float64", "float16"])
def test_other_dtypes_have_one_precision(lt, library, other):
    for precision in ("float32", "tf32"):
        A, B, out = problem(dtype=other)
        assert lt.product(A, B, out, stream=0, precision=precision)
        same(out, expected(A, B))
    assert len(library.queries) == 1


# --- epilogues


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_bias_and_relu(lt, library, dtype, with_bias, relu):
    for shape, A in itertools.product(SHAPES, LAYOUTS):
        X, W, out = problem(shape, dtype, A)
        b = empty(shape[2], dtype)
        b[...] = numbers(b.shape, dtype, seed=2)
        assert lt.product(X, W, out, stream=0, bias=b if with_bias else None, relu=relu)
        wanted = expected(X, W) + (np.asarray(b, np.float64) if with_bias else 0)
        same(out, np.maximum(wanted, 0) if relu else wanted)
    assert library.refusals == []


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradients_of_weights_and_bias(lt, library, dtype, shape):
    n_in, m, n_out = shape
    X, dZ = laid_out("rows", numbers((m, n_in), dtype)), laid_out("rows", numbers((m, n_out), dtype, seed=1))
    dW, db = empty((n_in, n_out), dtype), empty(n_out, dtype)
    assert lt.product(X.T, dZ, dW, stream=0, column_sums=db)
    same(dW, expected(X.T, dZ))
    same(db, np.asarray(dZ, np.float64).sum(axis=0))
    assert library.refusals == []


def test_a_bias_of_one_number_lies_anywhere(lt):
    A, B, out = problem((5, 4, 1))
    assert lt.product(A, B, out, stream=0, bias=empty((1, 9), "float32")[:, 0])
    same(out, expected(A, B) + 77)


def test_the_relu_hides_a_nan(lt):
    A, B, out = problem()
    A[1, :] = np.nan
    assert lt.product(A, B, out, stream=0, relu=True)
    assert (out[1] == 0).all()


def test_column_sums_of_columns_are_left_to_the_caller(lt, library):
    A, B, out = problem(B="columns")
    assert not lt.product(A, B, out, stream=0, column_sums=empty(3, "float32"))
    assert (out == 77).all()
    assert not library.queries


@pytest.mark.parametrize("name", ["bias", "column_sums"])
def test_a_vector_at_an_odd_place_is_left_to_the_caller(lt, library, name):
    A, B, out = problem()
    for offset in (4, 8, 12, 20):
        assert not lt.product(A, B, out, stream=0, **{name: empty(3, "float32", offset=offset)})
    assert (out == 77).all()
    assert not library.queries
    assert lt.product(A, B, out, stream=0, **{name: empty(3, "float32", offset=48)})


def test_the_choice_knows_where_the_bias_lies(lt, library):
    A, B, out = problem()
    for offset in (0, 128, 64, 32, 16, 48):
        assert lt.product(A, B, out, stream=0, bias=empty(3, "float32", offset=offset))
    assert [q.operation[emulation.BIAS] % 256 for q in library.queries] == [0, 128, 64, 32, 16]


# --- nothing to multiply


@pytest.mark.parametrize("shape", [(0, 4, 3), (5, 4, 0), (0, 0, 0), (0, 4, 0), (0, 0, 3)])
def test_an_empty_result_is_done_at_once(lt, library, shape):
    A, B, out = problem(shape)
    assert lt.product(A, B, out, stream=0, bias=empty(shape[2], "float32"), relu=True)
    assert library.calls.total() == 1, "the handle's alone"


@pytest.mark.parametrize("shape", [(5, 0, 3), (0, 4, 3), (0, 0, 3), (5, 0, 0), (5, 4, 0)])
def test_an_empty_sum_is_left_to_the_caller(lt, library, shape):
    A, B, out = problem(shape)
    sums = empty(shape[2], "float32")
    assert lt.product(A, B, out, stream=0, column_sums=sums) == (shape[2] == 0)
    assert lt.product(A, B, out, stream=0) == (0 in out.shape)
    assert library.calls.total() == 1
    assert (out == 77).all()
    assert (sums == 77).all()


# --- what the choice of an algorithm is told


def test_addresses_are_told_as_aligned_as_they_are(lt, library):
    A, B, out = empty((5, 4), "float32", offset=4), empty((4, 3), "float32", offset=16), empty((5, 3), "float32")
    A[...], B[...] = 1, 2
    assert lt.product(A, B, out, stream=0)
    told = library.queries[0].preference
    assert told == {
        emulation.WORKSPACE: 1 << 12,
        emulation.ALIGNMENT_A: 16,  # its A is our B
        emulation.ALIGNMENT_B: 4,
        emulation.ALIGNMENT_C: 256,
        emulation.ALIGNMENT_D: 256,
    }
    other = empty((5, 4), "float32", offset=8)
    other[...] = 1
    assert lt.product(other, B, out, stream=0)
    assert library.queries[1].preference == {**told, emulation.ALIGNMENT_B: 8}


def test_a_known_problem_costs_one_call(lt, library):
    arguments = problem()
    assert lt.product(*arguments, stream=0)
    library.calls.clear()
    again = problem()
    assert lt.product(*again, stream=0)
    assert library.calls == {"cublasLtMatmul": 1}
    same(again[2], expected(*again[:2]))


@pytest.mark.parametrize("name", ["bias", "column_sums"])
def test_a_known_problem_takes_a_new_vector(lt, library, name):
    A, B, out = problem()
    vectors = [empty(3, "float32") for _ in range(3)]
    for i, v in enumerate(vectors):
        v[...] = 10 * i
        assert lt.product(A, B, out, stream=0, **{name: v})
        same(out, expected(A, B) + (10 * i if name == "bias" else 0))
    assert len(library.queries) == 1
    if name == "column_sums":
        for v in vectors:
            same(v, np.sum(B, axis=0))


def test_a_known_problem_can_be_captured(lt, library):
    arguments = problem()
    bias = empty(3, "float32")
    assert lt.product(*arguments, stream=0, bias=bias)
    creating = [name for name in emulation.PROTOTYPES if name.endswith(("Create", "Heuristic", "Destroy"))]
    library.statuses = dict.fromkeys(creating, 14)
    assert lt.product(*arguments, stream=STREAM, bias=bias)


# --- no algorithm


@pytest.mark.parametrize("answer", ["status", "count", "state"])
def test_without_an_algorithm_for_the_epilogue_the_caller_is_told(lt, library, answer):
    library.without_algorithm, library.answer_without_algorithm = {6, 256}, answer
    A, B, out = problem()
    v = empty(3, "float32")
    for _ in range(2):
        assert not lt.product(A, B, out, stream=0, bias=v, relu=True)
        assert not lt.product(A, B, out, stream=0, column_sums=v)
    assert (out == 77).all()
    assert (v == 77).all()
    assert len(library.queries) == 2, "and it is asked once"
    assert lt.product(A, B, out, stream=0, bias=v)


@pytest.mark.parametrize("answer", ["status", "count", "state"])
def test_without_an_algorithm_for_the_product_there_is_an_error(lt, library, answer):
    library.without_algorithm, library.answer_without_algorithm = {1}, answer
    for _ in range(2):
        with pytest.raises(CublasError, match=r"found no algorithm, for float32 \(5, 4\) by \(4, 3\) into float32"):
            lt.product(*problem(), stream=0)


# --- errors


CALLS = [name for name in emulation.PROTOTYPES if not name.endswith(("Destroy", "GetStatusName", "cublasLtCreate"))]


@pytest.mark.parametrize("name", CALLS)
def test_a_failing_call_is_named(lt, library, name):
    library.statuses[name] = 13
    bias = empty(3, "float32")
    with pytest.raises(CublasError, match=rf"^{name} gave CUBLAS_STATUS_EXECUTION_FAILED .*\(5, 4\) by \(4, 3\)"):
        lt.product(*problem(), stream=0, bias=bias)
    library.statuses.clear()
    assert lt.product(*problem(), stream=0, bias=bias), "and the next one is fine"


def test_a_gpu_that_is_missing_is_named(library):
    library.statuses["cublasLtCreate"] = 1
    with pytest.raises(CublasError, match=r"^cublasLtCreate gave CUBLAS_STATUS_NOT_INITIALIZED"):
        make_lt(library)


def test_a_workspace_must_be_aligned(library):
    with pytest.raises(ValueError, match="workspace is 0x1010; allowed: a multiple of 256"):
        cublas.Lt(library, 0x1010, 64)


X = empty((12, 12), "float32")


@pytest.mark.parametrize(
    ("A", "B", "out"),
    [
        (X[:6, :8:2], X[:4, :3], X[:6, :3]),  # elements apart
        (X[:6, 4::-1][:, :4], X[:4, :3], X[:6, :3]),  # backwards
        (X[5::-1, :4], X[:4, :3], X[:6, :3]),  # rows backwards
        (np.broadcast_to(X[:1, :4], (6, 4), subok=True), X[:4, :3], X[:6, :3]),  # rows upon each other
        (np.broadcast_to(X[:6, :1], (6, 4), subok=True), X[:4, :3], X[:6, :3]),
        (np.lib.stride_tricks.as_strided(X, (6, 4), (8, 4), subok=True), X[:4, :3], X[:6, :3]),  # overlapping
        (X[:6, :4], X[:4, ::4], X[:6, :3]),
        (X[:6, :4], X[:4, :3], X[:6, ::4]),
        (X[:6, :4], X[:4, :3], X.T[:6, :3]),  # columns, where rows are to be written
    ],
)
def test_other_layouts_are_refused(lt, library, A, B, out):
    with pytest.raises(ValueError, match=r"(?:[AB] has shape .*pack first|out has (?:shape|strides))"):
        lt.product(A, B, out, stream=0)
    assert not library.queries


def test_rows_at_fractions_of_an_element_are_refused(lt):
    memory = np.zeros(4096, np.uint8)
    A = np.ndarray((6, 4), np.float32, memory, strides=(18, 4)).view(emulation.DeviceArray)
    with pytest.raises(ValueError, match=r"A has shape \(6, 4\) and strides \(18, 4\); .*: pack first"):
        lt.product(A, X[:4, :3], X[:6, :3], stream=0)


F, D, I = (empty((4, 4), dtype) for dtype in ("float32", "float64", "int32"))


@pytest.mark.parametrize(
    ("A", "B", "out", "more", "says"),
    [
        (F[:, :3], F, F, {}, r"shapes \(4, 3\), \(4, 4\), \(4, 4\)"),
        (F, F, F[:3], {}, r"shapes \(4, 4\), \(4, 4\), \(3, 4\)"),
        (F, F, F[:, :3], {}, "shapes"),
        (F[0], F, F, {}, r"shapes \(4,\), "),
        (F, F[0], F[0], {}, "shapes"),
        (F, D, F, {}, "dtypes float32, float64, float32"),
        (F, F, D, {}, "dtypes float32, float32, float64"),
        (D, D, F, {}, "dtypes float64, float64, float32"),
        (I, I, I, {}, "allowed: .*float16, bfloat16"),
        (F, F, F, {"bias": F[0, :3]}, r"bias or column_sums has shape \(3,\)"),
        (F, F, F, {"bias": F}, r"shape \(4, 4\)"),
        (F, F, F, {"bias": F[:, 0]}, r"strides \(16,\); allowed.*packed"),
        (F, F, F, {"bias": D[0]}, "dtype float64"),
        (F, F, F, {"column_sums": D[0]}, "dtype float64"),
        (F, F, F, {"precision": "bf16"}, "precision is 'bf16'; allowed: 'float32', 'tf32'"),
        (F, F, F, {"bias": F[0], "column_sums": F[1]}, "call it twice"),
        (F, F, F, {"relu": True, "column_sums": F[1]}, "call it twice"),
    ],
)
def test_wrong_arguments_are_refused(lt, library, A, B, out, more, says):
    with pytest.raises(ValueError, match=says):
        lt.product(A, B, out, stream=0, **more)
    assert not library.queries


# --- what is kept, and what is given back


def test_all_is_destroyed_with_the_lt(library):
    lt = make_lt(library)
    for dtype in ("float32", "float64"):
        lt.product(*problem(dtype=dtype), stream=0)
    library.without_algorithm = {2}
    lt.product(*problem(), stream=0, relu=True)
    kinds = sorted(kind for kind, _ in library.objects.values())
    assert kinds == ["", *["MatmulDesc"] * 2, *["MatrixLayout"] * 6], "and nothing of a question or of a refusal"
    gone = weakref.ref(lt)
    del lt
    gc.collect()
    assert gone() is None
    assert library.objects == {}
    assert library.refusals == []


@pytest.mark.parametrize("name", CALLS)
def test_a_failing_call_leaves_nothing_behind(library, name):
    lt = make_lt(library)
    library.statuses[name] = 3
    with pytest.raises(CublasError):
        lt.product(*problem(), stream=0, bias=empty(3, "float32"))
    del lt
    gc.collect()
    assert library.objects == {}


def test_the_problems_longest_unused_go_first(lt, library, monkeypatch):
    monkeypatch.setattr(cublas, "MOST_PLANS", 2)
    for m in (1, 2, 1, 3, 1, 2):
        assert lt.product(*problem((m, 4, 3)), stream=0)
    assert [query.D[emulation.COLUMNS] for query in library.queries] == [1, 2, 3, 2]
    assert len(library.objects) == 1 + 2 * 4


def test_at_exit_nothing_is_called():
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import cublas_emulation as e\n"
        "class Loud(e.CublasLt):\n"
        "    def _end(self, kind, address): print('destroyed', kind, flush=True)\n"
        "library = Loud(); lt = e.make_lt(library)\n"
        "lt.product(e.empty((2, 2), 'f4'), e.empty((2, 2), 'f4'), e.empty((2, 2), 'f4'), stream=0)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code, *sys.path], capture_output=True, text=True, check=True)
    assert answer.stdout.split("\n") == ["destroyed MatmulPreference", ""]
    assert answer.stderr == ""


# --- the library


def pathfinder(monkeypatch, load):
    cuda, module = types.ModuleType("cuda"), types.ModuleType("cuda.pathfinder")
    cuda.pathfinder = module
    module.DynamicLibNotFoundError = type("DynamicLibNotFoundError", (RuntimeError,), {})
    module.load_nvidia_dynamic_lib = load
    monkeypatch.setitem(sys.modules, "cuda", cuda)
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", module)
    return module


def test_the_library_is_the_one_that_pathfinder_finds(monkeypatch):
    import _ctypes  # some library

    asked = []

    def load(name):
        asked.append(name)
        return types.SimpleNamespace(abs_path=_ctypes.__file__)

    pathfinder(monkeypatch, load)
    library = cublas.load()
    assert isinstance(library, ctypes.CDLL)
    assert library._name == _ctypes.__file__
    assert asked == ["cublasLt"]


def test_a_missing_library_is_named(monkeypatch):
    def load(name):
        raise module.DynamicLibNotFoundError(f'Failure finding "lib{name}.so"')

    module = pathfinder(monkeypatch, load)
    with pytest.raises(BackendUnavailableError, match=r'cuBLASLt.*Failure finding "libcublasLt.so".*pip install'):
        cublas.load()


def test_a_missing_pathfinder_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda", None)
    with pytest.raises(BackendUnavailableError, match=r"cuda-pathfinder.*pip install"):
        cublas.load()


class RealObjects(CublasLt):
    """The emulation on NVIDIA's own descriptors: they need no GPU, and say what they hold."""

    def __init__(self, real):
        super().__init__()
        self.real = real
        cublaslt.declare(real)
        for name in emulation.PROTOTYPES:
            if name.removeprefix("cublasLt").startswith(tuple(emulation.SIZES)) and "Heuristic" not in name:
                setattr(self, name, getattr(real, name))
        for kind in emulation.SIZES:
            getattr(real, f"cublasLt{kind}GetAttribute").argtypes = (
                *(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p),
            )

    def _attributes(self, kind, address):
        return {number: self._attribute(kind, address, number) for number in emulation.SIZES[kind]}

    def _attribute(self, kind, address, number):
        value, size, written = ctypes.c_uint64(), emulation.SIZES[kind][number], ctypes.c_size_t()
        get = getattr(self.real, f"cublasLt{kind}GetAttribute")
        assert get(address, number, ctypes.byref(value), size, ctypes.byref(written)) == 0
        assert written.value == size
        return value.value


def test_nvidias_own_descriptors_hold_what_they_are_told(dtype):
    try:
        library = RealObjects(cublas.load())
    except BackendUnavailableError as error:
        pytest.skip(f"NVIDIA's library is missing: {error}")
    lt = make_lt(library)
    for A, shape in itertools.product(LAYOUTS, SHAPES):
        X, W, out = problem(shape, dtype, A)
        v = empty(shape[2], dtype)
        assert lt.product(X, W, out, stream=0, bias=v, relu=True)
        same(out, np.maximum(expected(X, W) + 77, 0))
        assert lt.product(X, W, out, stream=0, column_sums=v)
        same(out, expected(X, W))
        same(v, np.asarray(W, np.float64).sum(axis=0))
    assert library.refusals == []
    assert library.real.cublasLtGetStatusName(15) == b"CUBLAS_STATUS_NOT_SUPPORTED"
