"""Runs a plan on a GPU: kernels and matrix products on fixed addresses, launched one by one or as one CUDA graph.

All memory of a program is allocated before anything is captured, so that a capture records nothing but launches. Only
this module and ``gpu_steps`` import CuPy.
"""

import contextlib
import functools
import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cupy
import numpy as np

from . import ladder
from .cublaslt import RIGHT_SINCE, SPARE, Multiplication, Refused, is_safe
from .cuda_memory import COUNTER, THREADS, Kernel, Product
from .cuda_source import Source, source
from .ladder import DEFINITIONS, EPILOGUES, GRAPH, LAUNCHES, LEVELS
from .lowering import lowered
from .plan import MEMORY, Plan, plan, rounded
from .recorder import NotRecordable, Program, leaves

Array = Any

_PRODUCT = r"""
template <class T, class R> __device__ inline R number(T a) { return (R)a; }
template <> __device__ inline float number<unsigned short, float>(unsigned short a) {
    return __uint_as_float((unsigned int)a << 16);
}
template <class T, class R>
__device__ void product(const char* A, const char* B, char* out, long long m, long long n, long long k, long long a0,
                        long long a1, long long b0, long long b1) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= m * n) return;
    R sum = 0;
    for (long long l = 0; l < k; l++)
        sum += number<T, R>(((const T*)A)[i / n * a0 + l * a1]) * number<T, R>(((const T*)B)[l * b0 + i % n * b1]);
    ((R*)out)[i] = sum;
}
"""
_KERNEL = r"""
extern "C" __global__ void product_%s(const char* A, const char* B, char* out, long long m, long long n, long long k,
                                      long long a0, long long a1, long long b0, long long b1) {
    product<%s, %s>(A, B, out, m, n, k, a0, a1, b0, b1);
}
"""
_TYPES = (("float32", "float", "float"), ("float64", "double", "double"), ("uint16", "unsigned short", "float"))
PRODUCTS = _PRODUCT + "".join(_KERNEL % types for types in _TYPES)
"""Kernels for the matrix products that cuBLASLt does not support, one thread an element."""


def device_name() -> str:
    """The current device and the versions of the libraries that compute, for messages."""
    device = cupy.cuda.Device()
    name = cupy.cuda.runtime.getDeviceProperties(device.id)["name"].decode()
    capability = f"{device.compute_capability[:-1]}.{device.compute_capability[-1]}"
    runtime, driver = cupy.cuda.runtime.runtimeGetVersion(), cupy.cuda.runtime.driverGetVersion()
    return (
        f"{name} (compute capability {capability}; CuPy {cupy.__version__}, CUDA runtime {runtime}, driver {driver}, "
        f"cuBLAS {cublas_version()})"
    )


@functools.cache
def cublas_version() -> int:
    """The version of cuBLAS: 120804 is 12.8.4."""
    return cupy.cuda.cublas.getVersion(cupy.cuda.device.get_cublas_handle())


class Launches:
    """A plan's kernels and products over these inputs: ``launches(stream, k)`` launches step k on the current stream.

    Parameters
    ----------
    plan : Plan
    source : Source
    inputs : sequence of ndarray, C-contiguous
        Arrays of the device, which are used in place and overwritten by outputs as the plan says.
    is_tf32 : bool
        Whether products of float32 may round their factors to 10 bits of mantissa.
    sliding : mapping of int to int
        Inputs of which each step reads the next part, and the size of a part in bytes.
    counter : ndarray, optional
        One int64, the number of the step that ``k = 0`` is. Needed if there are sliding inputs.
    memory : ndarray of bytes, optional
        Memory for everything else; allocated here if it is missing or too small. Launches that never run at the same
        time may share it.

    Attributes
    ----------
    memory : ndarray of bytes
        The memory in use.

    Raises
    ------
    Refused
        cuBLASLt can't add a product's bias.
    OutOfMemoryError
        CuPy can't allocate the memory.
    """

    def __init__(
        self,
        plan: Plan,
        source: Source,
        inputs: Sequence[Array],
        is_tf32: bool,
        sliding: Mapping[int, int],
        counter: Array | None = None,
        memory: Array | None = None,
    ) -> None:
        self._plan, self._inputs = plan, [*inputs, *(cupy.asarray(a) for a in source.constants)]
        addresses = {j: a.data.ptr for j, a in enumerate(self._inputs)}
        if counter is not None:
            addresses[COUNTER] = counter.data.ptr
        start = rounded(source.memory, 256)
        size = start + rounded(_workspace(source, addresses, is_tf32), 256) + SPARE
        self.memory = cupy.empty(size, cupy.uint8) if memory is None or memory.size < size else memory
        addresses[MEMORY] = self.memory.data.ptr
        module = cupy.RawModule(code=source.text, options=("-std=c++17",))
        self._calls = [
            _KernelCall(module, x, addresses, sliding)
            if isinstance(x, Kernel)
            else _ProductCall(x, addresses, is_tf32, addresses[MEMORY] + start)
            for x in source.launches
        ]

    def __call__(self, stream: Any, k: int = 0) -> None:
        for call in self._calls:
            call(stream, k)

    def multiply(self, stream: Any) -> None:
        """Launch the products alone, whose time is a lower bound for the time of all launches."""
        for call in self._calls:
            if isinstance(call, _ProductCall):
                call(stream, 0)

    @property
    def outputs(self) -> list[Array]:
        """The program's outputs, as arrays of the memory that they are computed in."""
        found = []
        for x in self._plan.outputs:
            root, offset = self._plan.places[x]
            home = self.memory if root == MEMORY else self._inputs[root]
            found.append(cupy.ndarray(x.shape, x.dtype, memptr=home.data + offset))
        return found


def _workspace(source: Source, addresses: Mapping[int, int], is_tf32: bool) -> int:
    """The size in bytes of the workspace that the products share.

    It depends on the alignment of the operands. The plan's memory is not allocated yet: CuPy aligns it to 256 bytes or
    more, as the address 0 is.
    """
    products = [x for x in source.launches if isinstance(x, Product)]
    found = [multiplication(x, {**addresses, MEMORY: 0}, is_tf32) for x in products]
    return max((x.workspace for x in found if x is not None), default=0)


class _KernelCall:
    """A kernel with its arguments."""

    def __init__(self, module: Any, kernel: Kernel, addresses: Mapping[int, int], sliding: Mapping[int, int]) -> None:
        self.function, self.grid = module.get_function(kernel.name), (kernel.blocks,)
        self.arguments = [(addresses[root], sliding.get(root, 0)) for root in kernel.roots]

    def __call__(self, stream: Any, k: int) -> None:
        self.function(self.grid, (THREADS,), tuple(at + k * step for at, step in self.arguments))


def multiplication(product: Product, addresses: Mapping[int, int], is_tf32: bool) -> Multiplication | None:
    """A product by cuBLASLt; None if cuBLASLt does not support it, unless it has a bias: then Refused is raised."""
    if not is_safe(product, cublas_version()):
        return None
    try:
        return Multiplication(product, addresses, cupy.cuda.Device().id, is_tf32)
    except Refused:
        if product.bias is not None:
            raise
        return None


class _ProductCall:
    """A product by cuBLASLt, or by a kernel if cuBLASLt does not support it."""

    def __init__(self, product: Product, addresses: Mapping[int, int], is_tf32: bool, workspace: int) -> None:
        self.product, self.workspace = product, workspace
        self.made = multiplication(product, addresses, is_tf32)
        A, B, out = product.A, product.B, product.out
        self.arguments = (
            *(addresses[x.root] + x.offset for x in (A, B, out)),
            *(*out.shape, A.shape[1], *A.strides, *B.strides),
        )

    def __call__(self, stream: Any, k: int) -> None:
        if self.made is not None:
            try:
                self.made.run(stream.ptr, self.workspace)
                return
            except Refused:
                if self.product.bias is not None:
                    raise
                self.made = None
        m, n = self.product.out.shape
        function = _own_products(cupy.cuda.Device().id).get_function(f"product_{self.product.A.dtype.name}")
        function((-(-m * n // THREADS),), (THREADS,), self.arguments)


@functools.cache
def _own_products(device: int) -> Any:
    return cupy.RawModule(code=PRODUCTS, options=("-std=c++17",))


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """A context without garbage collection, which might free device memory: a capture forbids that."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def captured(ask: Callable[[Any], None]) -> Any:
    """The CUDA graph of all launches that ``ask(stream)`` makes on a new stream, which is the current one meanwhile.

    If ``ask`` raises an error, the capture is ended, and the error is raised again.
    """
    stream = cupy.cuda.Stream(non_blocking=True)  # the legacy stream can't be captured
    with _without_garbage_collection(), stream:
        try:
            stream.begin_capture()
            ask(stream)
            return stream.end_capture()
        except BaseException:
            # CuPy's is_capturing raises an error if CUDA has invalidated the capture, so that it can't be asked here.
            with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):
                stream.end_capture()
            raise


# --- levels


class Compiled:
    """A program's plan and source for a GPU, at one of the levels of ``ladder``."""

    def __init__(
        self, program: Program, overwrites: Mapping[int, int], sliding: Mapping[int, int], precision: str, level: str
    ) -> None:
        self.precision, self.sliding = precision, sliding
        lower = lowered(program, precision == "bfloat16", level == EPILOGUES)
        self.plan = plan(lower, overwrites, has_kernels=True)
        self.source = source(self.plan, sliding)

    def bound(self, inputs: Sequence[Array], counter: Array | None = None, memory: Array | None = None) -> Launches:
        """The launches over these arrays."""
        return Launches(self.plan, self.source, inputs, self.precision == "tf32", self.sliding, counter, memory)


verdicts: dict[tuple[int, str, Any], str] = {}
"""The level at which a program runs, by the device, the level that was tried first, and the program."""
MOST_VERDICTS = 1024
"""Every number of rows is a program of its own: without a bound a server's memory would fill up."""


_lock = threading.Lock()


def first_level() -> str:
    """The level that the environment asks for, without epilogues if this version of cuBLAS computes some wrongly."""
    level = ladder.first_level()
    return GRAPH if level == EPILOGUES and cublas_version() < RIGHT_SINCE else level


def context_has_ended() -> bool:
    """Whether the CUDA context has ended, so that nothing works any more in this process.

    Only the current stream is waited for: waiting for the device would break the capture of another thread.
    """
    try:
        cupy.cuda.get_current_stream().synchronize()
    except cupy.cuda.runtime.CUDARuntimeError:
        return True
    return False


def context_error(error: Exception) -> RuntimeError:
    """The error to raise after one that has ended the CUDA context."""
    return RuntimeError(
        f"the CUDA context of this process has ended ({type(error).__name__}: {error}), and no GPU works in it any "
        "more: restart with XPNET_REPLAY=off in the environment, which runs the equations as they stand, and please "
        "report this with the output of  python -m xpnet info --check, run in a new process"
    )


def at_highest_level(program: Any, make: Callable[[str, bool], Any]) -> Any:
    """``make(level, is_known)`` at the highest level at which it succeeds; None if that is the definitions' level.

    Parameters
    ----------
    program : hashable
        Says what is made: the level that is found is used for everything equal to it in this process.
    make : callable
        Raises if the level can't be trusted. A level that ``is_known`` has been checked before.

    Raises
    ------
    LevelError
        A level failed, and XPNET_CAPTURE=require asks for it.
    RuntimeError
        The CUDA context has ended.
    MemoryError
        The GPU's memory is full: a lower level would need as much.
    """
    first = first_level()
    key = cupy.cuda.Device().id, first, program
    known = verdicts.get(key)
    for k in range(LEVELS.index(known or first), LEVELS.index(DEFINITIONS)):
        try:
            made = make(LEVELS[k], LEVELS[k] == known)
        except cupy.cuda.memory.OutOfMemoryError:
            raise
        except NotRecordable as error:
            ladder.say_why(str(error))
            break
        except Exception as error:
            if context_has_ended():
                raise context_error(error) from error
            ladder.step_down(LEVELS[k], LEVELS[k + 1], error, device_name())
        else:
            _keep_verdict(key, LEVELS[k])
            return made
    _keep_verdict(key, DEFINITIONS)
    return None


def _keep_verdict(key: tuple[int, str, Any], level: str) -> None:
    with _lock:
        if key not in verdicts and len(verdicts) >= MOST_VERDICTS:
            del verdicts[next(iter(verdicts))]
        verdicts[key] = level


class Replay:
    """A program over arrays that stay where they are: ``replay()`` computes it on the current stream.

    Streams that share a replay write its inputs and read its outputs within ``in_turn()``.
    """

    def __init__(self, launches: Launches) -> None:
        self._launches, self.outputs = launches, launches.outputs
        self._graph: Any = None
        self._is_done = cupy.cuda.Event(disable_timing=True)

    def capture(self) -> None:
        """Capture the launches as a CUDA graph, which is launched from then on."""
        self._graph = captured(self._launches)

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """A context in which the current stream uses the arrays after every stream that has used them before."""
        stream = cupy.cuda.get_current_stream()
        stream.wait_event(self._is_done)
        try:
            yield
        finally:
            self._is_done.record(stream)

    def __call__(self) -> None:
        stream = cupy.cuda.get_current_stream()
        if self._graph is None:
            self._launches(stream)
        else:
            self._graph.launch(stream)


def replay_of(program: Program, inputs: Sequence[Array], definition: Callable, precision: str | None) -> Replay | None:
    """A program over these inputs at the highest level that agrees with ``definition()``; None if none does."""
    name = precision or next(x.dtype.name for x in program.outputs if x.dtype.kind == "f")

    def make(level: str, is_known: bool) -> Replay:
        compiled = Compiled(program, {}, {}, name, level)
        replay = Replay(compiled.bound(inputs))
        replay()  # CUDA may load what runs for the first time, and must not do so during a capture
        if not is_known:
            expected = [*map(cupy.asnumpy, leaves(definition()))]
            _compare("the launches and the definition", replay, expected, name)
        if level != LAUNCHES:
            found = [] if is_known else [*map(cupy.asnumpy, replay.outputs)]
            replay.capture()
            if not is_known:
                _compare("the graph and the launches", replay, found, name)
        return replay

    return at_highest_level((program.identity, name), make)


def _compare(what: str, replay: Replay, expected: Sequence[np.ndarray], precision: str) -> None:
    replay()
    found = [*map(cupy.asnumpy, replay.outputs)]
    ladder.compare(what, found, expected, [np.zeros_like(a) for a in expected], precision)
