"""Runs generated kernels on the host: compiled by g++, thread by thread, with matrix products by NumPy."""

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from xpnet.program.cuda.memory import COUNTER, Kernel
from xpnet.program.plan_items import MEMORY

HEADER = Path(__file__).parent / "cuda_on_host.h"


@functools.cache
def compiled(text: str) -> ctypes.CDLL:
    """The kernels of a source; a function ``run_NAME(blocks, addresses)`` for each."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is missing, which compiles the kernels for the host")
    lines = [f'#include "{HEADER}"', text]
    functions = {f.split("(")[0].split()[-1]: f for f in re.split(r"(?=static __device__ void)", text)}
    waiting = [name for name, f in functions.items() if "__syncthreads" in f]
    for name, parameters, body in re.findall(r"__global__ void \S+ (\w+)\(([^)]*)\) {\n(.*?)\n}", text, re.DOTALL):
        n = len(parameters.split(","))
        waits = "true" if any(f"{f}(" in body for f in ("__syncthreads", *waiting)) else "false"
        given = ", ".join(f"(char*)a[{i}]" for i in range(n))
        lines.append(f"static void call_{name}(void** a) {{ {name}({given}); }}")
        lines.append(
            f'extern "C" void run_{name}(unsigned blocks, void** a) {{ launch(call_{name}, {waits}, blocks, a); }}'
        )
    with tempfile.TemporaryDirectory() as folder:
        path, library = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
        path.write_text("\n".join(lines))
        command = [
            "g++",
            "-O1",
            "-shared",
            "-fPIC",
            "-w",
            "-std=c++17",
            "-nostdinc++",
            "-ffp-contract=off",
            str(path),
            "-o",
            str(library),
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr[:3000]
        return ctypes.CDLL(str(library))


class HostReplay:
    """A plan's kernels and products over NumPy arrays: ``replay()`` computes it, ``replay(True)`` with all blocks and
    threads in reverse order, as a GPU guarantees no order.
    """

    def __init__(self, source, plan, inputs):
        self.source, self.plan, self.inputs = source, plan, inputs
        self.memory = np.full(source.memory + 256, 0xFF, np.uint8)
        self.counter = np.zeros(1, np.int64)
        self.library = compiled(source.text)

    def array(self, root):
        """The array of a root."""
        if root == COUNTER:
            return self.counter
        return self.memory if root == MEMORY else [*self.inputs, *self.source.constants][root]

    def __call__(self, is_reversed=False):
        self.library.reverse(is_reversed)
        for launch in self.source.launches:
            if isinstance(launch, Kernel):
                addresses = (ctypes.c_void_p * len(launch.roots))(*(self.array(r).ctypes.data for r in launch.roots))
                getattr(self.library, f"run_{launch.name}")(launch.blocks, addresses)
            else:
                self.multiply(launch)

    def matrix(self, x):
        strides = [s * x.dtype.itemsize for s in x.strides]
        found = np.ndarray(x.shape, x.dtype, self.array(x.root).reshape(-1).view(np.uint8), x.offset, strides)
        return found

    def multiply(self, product):
        A, B = self.matrix(product.A), self.matrix(product.B)
        if A.dtype == np.uint16:  # bfloat16
            A, B = ((a.astype(np.uint32) << 16).view(np.float32) for a in (A, B))
        C = A @ B
        if product.bias is not None:
            bias = product.bias
            C = C + np.ndarray(bias.shape, bias.dtype, self.array(bias.root).view(np.uint8), bias.offset)
        self.matrix(product.out)[...] = np.maximum(C, 0) if product.has_relu else C

    @property
    def outputs(self):
        return [self._output(x) for x in self.plan.outputs]

    def _output(self, x):
        root, offset = self.plan.places[x]
        memory = self.array(root).reshape(-1).view(np.uint8)
        return np.ndarray(x.shape, x.dtype, memory, offset)
