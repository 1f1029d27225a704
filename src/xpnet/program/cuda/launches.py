"""Kernels and matrix products on fixed addresses of a GPU, launched one by one or captured as a CUDA graph.

All memory of a program is allocated before anything is captured, so that a capture records nothing but launches.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import cupy

from ...backends.gpu import facts
from ..plan import Plan, plan
from ..plan_items import MEMORY, rounded
from ..recorded_values import Program
from .cublaslt import SPARE, Multiplication, Refused, is_safe
from .lowering import lowered
from .memory import COUNTER, THREADS, Kernel, Product, ceil_divide
from .source import Source, source

Array = Any

_NUMBERS = r"""
__device__ inline float number(float a) { return a; }
__device__ inline double number(double a) { return a; }
__device__ inline float number(unsigned short a) { return __uint_as_float((unsigned int)a << 16); }
"""
_PRODUCT = r"""
extern "C" __global__ void product_%s(const %s* A, const %s* B, %s* out, long long m, long long n, long long k,
                                      long long a0, long long a1, long long b0, long long b1) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= m * n) return;
    %s sum = 0;
    for (long long l = 0; l < k; l++) sum += number(A[i / n * a0 + l * a1]) * number(B[l * b0 + i %% n * b1]);
    out[i] = sum;
}
"""
_TYPES = (("float32", "float", "float"), ("float64", "double", "double"), ("uint16", "unsigned short", "float"))
PRODUCTS = _NUMBERS + "".join(_PRODUCT % (name, T, T, result, result) for name, T, result in _TYPES)
"""Kernels for the matrix products that cuBLASLt does not support, one thread an element."""


def device_name() -> str:
    """The current device and the versions of the libraries that compute, for messages."""
    gpu = facts(cupy.cuda.Device().id)
    runtime, driver = cupy.cuda.runtime.runtimeGetVersion(), cupy.cuda.runtime.driverGetVersion()
    return (
        f"{gpu.name} (compute capability {gpu.capability[0]}.{gpu.capability[1]}; CuPy {cupy.__version__}, "
        f"CUDA runtime {runtime}, driver {driver}, cuBLAS {cublas_version()})"
    )


@functools.cache
def cublas_version() -> int:
    """The version of cuBLAS: 120804 is 12.8.4."""
    return cupy.cuda.cublas.getVersion(cupy.cuda.device.get_cublas_handle())


class Compiled:
    """A program's plan and source for a GPU.

    ``overwrites`` are those of the plan, ``sliding`` those of the source: the inputs of which each step reads the next
    part, and the size of a part in bytes. With ``has_epilogues`` products also add biases and take ReLUs.
    """

    def __init__(
        self,
        program: Program,
        overwrites: Mapping[int, int],
        sliding: Mapping[int, int],
        precision: str,
        has_epilogues: bool = False,
    ) -> None:
        self.is_tf32, self.sliding = precision == "tf32", sliding
        self.plan: Plan = plan(lowered(program, precision == "bfloat16", has_epilogues), overwrites, has_kernels=True)
        self.source: Source = source(self.plan, sliding)


class Launches:
    """A compiled program over these inputs: ``launches(stream, k)`` launches step k on the current stream.

    ``inputs`` are C-contiguous arrays of the device, which are used in place and overwritten by outputs as the plan
    says. ``counter``, one int64, is the number of the step that ``k = 0`` is; sliding inputs need it. ``memory`` is
    used for everything else; it is allocated here if it is missing or too small, and launches that never run at the
    same time may share it. Refused is raised if cuBLASLt can't add a product's bias.
    """

    def __init__(
        self, compiled: Compiled, inputs: Sequence[Array], counter: Array | None = None, memory: Array | None = None
    ) -> None:
        source = compiled.source
        self._plan, self._inputs = compiled.plan, [*inputs, *(cupy.asarray(a) for a in source.constants)]
        addresses = {j: a.data.ptr for j, a in enumerate(self._inputs)}
        if counter is not None:
            addresses[COUNTER] = counter.data.ptr
        # The plan's memory is not allocated yet: CuPy aligns it to 256 bytes or more, as the address 0 is.
        addresses[MEMORY] = 0
        module = cupy.RawModule(code=source.text, options=("-std=c++17",))
        self._calls: list[_KernelCall | _ProductCall] = [
            _KernelCall(module, x, compiled.sliding)
            if isinstance(x, Kernel)
            else _ProductCall(x, addresses, compiled.is_tf32)
            for x in source.launches
        ]
        start = rounded(source.memory, 256)
        size = start + rounded(max((call.workspace for call in self._calls), default=0), 256) + SPARE
        self.memory = cupy.empty(size, cupy.uint8) if memory is None or memory.size < size else memory
        addresses[MEMORY] = self.memory.data.ptr
        for call in self._calls:
            call.place(addresses, addresses[MEMORY] + start)

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


class _KernelCall:
    """A kernel with its arguments."""

    workspace = 0

    def __init__(self, module: Any, kernel: Kernel, sliding: Mapping[int, int]) -> None:
        self._kernel, self._sliding = kernel, sliding
        self._function, self._grid = module.get_function(kernel.name), (kernel.blocks,)

    def place(self, addresses: Mapping[int, int], workspace: int) -> None:
        """Let the roots begin at these addresses."""
        self._arguments = [(addresses[root], self._sliding.get(root, 0)) for root in self._kernel.roots]

    def __call__(self, stream: Any, k: int) -> None:
        self._function(self._grid, (THREADS,), tuple(at + k * step for at, step in self._arguments))


class _ProductCall:
    """A product by cuBLASLt, or by a kernel if cuBLASLt does not support it and it has no bias."""

    def __init__(self, product: Product, addresses: Mapping[int, int], is_tf32: bool) -> None:
        self.product = product
        self.multiplication: Multiplication | None = None
        if is_safe(product, cublas_version()):
            try:
                self.multiplication = Multiplication(product, addresses, cupy.cuda.Device().id, is_tf32)
            except Refused:
                if product.bias is not None:
                    raise
        self.workspace = 0 if self.multiplication is None else self.multiplication.workspace

    def place(self, addresses: Mapping[int, int], workspace: int) -> None:
        """Let the roots of the operands and the workspace begin at these addresses."""
        if self.multiplication is not None:
            self.multiplication.place(addresses)
        self._at = workspace
        A, B, out = self.product.A, self.product.B, self.product.out
        self._arguments = (
            *(addresses[x.root] + x.offset for x in (A, B, out)),
            *(*out.shape, A.shape[1], *A.strides, *B.strides),
        )

    def __call__(self, stream: Any, k: int) -> None:
        if self.multiplication is not None:
            try:
                self.multiplication.run(stream.ptr, self._at)
                return
            except Refused:
                if self.product.bias is not None:
                    raise
                self.multiplication = None
        m, n = self.product.out.shape
        function = _product_kernels(cupy.cuda.Device().id).get_function(f"product_{self.product.A.dtype.name}")
        function((ceil_divide(m * n, THREADS),), (THREADS,), self._arguments)


@functools.cache
def _product_kernels(device: int) -> Any:
    return cupy.RawModule(code=PRODUCTS, options=("-std=c++17",))
