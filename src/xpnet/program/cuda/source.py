"""A plan as CUDA C: the source of all its kernels, and the list of launches and matrix products that it consists of.

Each item of the plan becomes one or more device functions, in blocks of 256 threads:

- elementwise operations: one thread an element;
- rows, some of which are reduced: one thread a row of up to 32 columns, or one block a row;
- reductions over all elements, the leading axes or others: if there are many elements, many blocks write partial
  results first;
- single numbers: one thread.

Functions that do not depend on one another share a launch. Functions of one block that depend on one another run one
after the other in one block.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..plan import Plan
from .expressions import PRELUDE
from .kernels import Writer
from .memory import COUNTER, THREADS, Kernel, Memory, Node, Product, block_of_c, root_name


@dataclass(frozen=True, eq=False)
class Source:
    """A plan's CUDA C, and its launches in order.

    ``constants`` are the arrays at the roots that follow those of the plan's inputs; ``memory`` is the size of the root
    ``MEMORY`` in bytes.
    """

    text: str
    launches: list[Kernel | Product]
    constants: list[np.ndarray]
    memory: int


def source(plan: Plan, sliding: Mapping[int, int] | None = None) -> Source:
    """The CUDA C of a plan made with ``has_kernels``.

    ``sliding`` are the inputs of which each step reads the next part, and the size of a part in bytes; the number of
    steps that have been made, at the root ``COUNTER``, says which part is next. NotRecordable is raised if there is no
    kernel for an operation.
    """
    memory = Memory(plan)
    writer = Writer(memory)
    for item in plan.items:
        writer.item(item)
    for value, j in plan.copies:
        writer.copy(value, j)
    return _Schedule(memory, [node for node in writer.nodes if node.writes], sliding or {}).source()


class _Schedule:
    """Decides which device functions share a launch.

    Products are launched as soon as they can be. If none is ready, one launch runs all functions that are.
    """

    def __init__(self, memory: Memory, nodes: list[Node], sliding: Mapping[int, int]) -> None:
        self.memory, self.nodes, self.sliding = memory, nodes, sliding
        self.waits = {b: {a for a in nodes[:k] if b.must_follow(a)} for k, b in enumerate(nodes)}
        self.texts: list[str] = []
        self.launches: list[Kernel | Product] = []

    def source(self) -> Source:
        """The source and the launches."""
        left, done = list(self.nodes), set[Node]()
        while left:
            ready = [node for node in left if self.waits[node] <= done]
            products = [node for node in ready if node.product is not None]
            self.launches += [node.product for node in products if node.product is not None]
            done.update(products or self._launch(ready, left, done))
            left = [node for node in left if node not in done]
        return Source("\n".join([PRELUDE, *self.texts]), self.launches, self.memory.constants, self.memory.size)

    def _launch(self, ready: list[Node], left: list[Node], done: set[Node]) -> list[Node]:
        """Write one kernel of the functions that are ready, each in blocks of its own, and return all that it runs.

        Functions of one block that need only these follow in the same block.
        """
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
        """Write a kernel that gives each sequence of functions blocks of its own."""
        roots = sorted({root for s in sequences for node in s for root in node.roots})
        parameters = ", ".join(f"char* {root_name(root)}" for root in roots)
        arguments = "".join(f", {root_name(root)}" for root in roots)
        begin, lines = 0, list[str]()
        for s in sequences:
            names = [self._write_function(node, parameters) for node in s]
            calls = "\n__syncthreads();\n".join(f"{name}((int)blockIdx.x - {begin}{arguments});" for name in names)
            end = begin + max(node.blocks for node in s)
            lines.append(block_of_c(f"if (blockIdx.x >= {begin} && blockIdx.x < {end})", [calls]))
            begin = end
        slides = [root for root in roots if root in self.sliding]
        moved = [f"{root_name(root)} += *(const long long*)counter * {self.sliding[root]}LL;" for root in slides]
        name = f"kernel{len(self.launches)}"
        head = f'extern "C" __global__ void __launch_bounds__({THREADS}) {name}({parameters}'
        self.texts.append(block_of_c(head + (", const char* counter)" if slides else ")"), [*moved, *lines]))
        self.launches.append(Kernel(name, begin, (*roots, *((COUNTER,) if slides else ()))))

    def _write_function(self, node: Node, parameters: str) -> str:
        """Write the device function of a node, and return its name."""
        name = f"function{len(self.texts)}"
        self.texts.append(block_of_c(f"static __device__ void {name}(int block, {parameters})", [node.body]))
        return name
