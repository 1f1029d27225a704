"""A plan as CUDA C: one source for all its kernels, and the list of launches and matrix products that it consists of.

Every kernel has blocks of 256 threads. A *body* is what one item of the plan does:

- elements: one thread an element;
- rows: one thread a row of up to 32 columns, or one block a row; a value that is needed again after a reduction of the
  row is computed again;
- sums over all elements or over the leading axes, and other reductions: partial ones of many blocks first if there is
  much to add up, always in the same order;
- numbers: one thread.

Bodies that do not depend on one another share a launch, and small ones that do run one after the other in one block.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .cuda_bodies import Writer
from .cuda_expressions import PRELUDE
from .cuda_memory import COUNTER, THREADS, Kernel, Memory, Node, Product, braced, root_name
from .plan import Plan


@dataclass(frozen=True, eq=False)
class Source:
    """CUDA C, and what to call.

    Attributes
    ----------
    text : str
    launches : list of Kernel or Product
    constants : list of ndarray
        What lies at the roots after those of the plan's inputs.
    memory : int
        Bytes of the root ``MEMORY``.
    """

    text: str
    launches: list[Kernel | Product]
    constants: list[np.ndarray]
    memory: int


def source(plan: Plan, sliding: Mapping[int, int] | None = None) -> Source:
    """The CUDA C of a plan that was made for kernels.

    Parameters
    ----------
    plan : Plan
    sliding : mapping of int to int, optional
        Inputs that each step reads further on, and by how many bytes: the root ``COUNTER`` is the number of steps.

    Raises
    ------
    NotRecordable
        There is no kernel for an operation.
    """
    memory = Memory(plan)
    writer = Writer(memory)
    for item in plan.items:
        writer.item(item)
    for value, j in plan.copies:
        writer.copy(value, j)
    return _Schedule(memory, writer.nodes, sliding or {}).source()


class _Schedule:
    """Products as early as they can be, and all bodies that are ready in one launch before them."""

    def __init__(self, memory: Memory, nodes: list[Node], sliding: Mapping[int, int]) -> None:
        self.memory, self.nodes, self.sliding = memory, nodes, sliding
        self.waits = {b: {a for a in nodes[:k] if b.must_follow(a)} for k, b in enumerate(nodes)}
        self.texts: list[str] = []
        self.launches: list[Kernel | Product] = []

    def source(self) -> Source:
        left, done = list(self.nodes), set[Node]()
        while left:
            ready = [node for node in left if self.waits[node] <= done]
            products = [node for node in ready if node.product is not None]
            if products:
                self.launches += [node.product for node in products if node.product is not None]
                made = products
            else:
                made = self._launch(ready, left, done)
            done.update(made)
            left = [node for node in left if node not in done]
        text = "\n".join([PRELUDE, *self.texts])
        return Source(text, self.launches, self.memory.constants, self.memory.size)

    def _launch(self, ready: list[Node], left: list[Node], done: set[Node]) -> list[Node]:
        """One kernel of these bodies, each in its own blocks; small ones that need one another share a block."""
        sequences = [[node] for node in ready]
        made = set(ready)
        for node in left:
            missing = self.waits[node] - done
            if node.blocks != 1 or node in made:
                continue
            home = next((s for s in sequences if all(x.blocks == 1 for x in s) and missing <= set(s)), None)
            if home is not None:
                home.append(node)
                made.add(node)
        self._write(sequences)
        return [*made]

    def _write(self, sequences: list[list[Node]]) -> None:
        roots = sorted({root for s in sequences for node in s for root in node.roots})
        parameters = ", ".join(f"char* {root_name(root)}" for root in roots)
        arguments = "".join(f", {root_name(root)}" for root in roots)
        begin, lines = 0, list[str]()
        for s in sequences:
            calls = []
            for node in s:
                name = f"body{len(self.texts)}"
                self.texts.append(braced(f"static __device__ void {name}(int block, {parameters})", [node.body]))
                calls.append(f"{name}((int)blockIdx.x - {begin}{arguments});")
            end = begin + max(node.blocks for node in s)
            lines.append(
                braced(
                    f"if (blockIdx.x >= {begin} && blockIdx.x < {end})", "\n__syncthreads();\n".join(calls).split("\n")
                )
            )
            begin = end
        slides = [root for root in roots if root in self.sliding]
        moved = [f"{root_name(root)} += *(const long long*)counter * {self.sliding[root]}LL;" for root in slides]
        name = f"kernel{len(self.launches)}"
        head = f'extern "C" __global__ void __launch_bounds__({THREADS}) {name}({parameters}'
        self.texts.append(braced(head + (", const char* counter)" if slides else ")"), [*moved, *lines]))
        self.launches.append(Kernel(name, begin, (*roots, *((COUNTER,) if slides else ()))))
