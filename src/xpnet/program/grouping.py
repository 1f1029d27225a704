"""Which operations of a plan run together, and in which order."""

from .concatenations import Homes
from .plan_items import Item, is_joined, is_pointwise, rows_of
from .recorded_values import REDUCTIONS, Value


def grouped(homes: Homes, has_kernels: bool) -> list[Item]:
    """The operations as items: each joins the last group that it fits into, if only groups lie between."""
    items: list[Item] = []
    at: dict[Value, int] = {}
    for value in homes.order:
        if is_joined(value):
            at[value] = max(at[x] for x in homes.parts[value])
        elif value.base is None and value.operands:
            n_rows, latest = _rows(value, has_kernels), max((at.get(x.owner, -1) for x in value.operands), default=-1)
            k = _group_to_join(items, at, value, n_rows, latest)
            if k is None or (has_kernels and not _fits_in(value, n_rows or 1, items[k].operations)):
                k = len(items)
                items.append(Item([], n_rows))
            items[k].operations.append(value)
            at[value] = k
    return items


def _group_to_join(
    items: list[Item], at: dict[Value, int], value: Value, n_rows: int | None, latest: int
) -> int | None:
    for k in range(len(items) - 1, max(latest, 0) - 1, -1):
        if n_rows is None or items[k].n_rows is None:
            return None
        if items[k].n_rows == n_rows:
            inside = [x for x in value.operands if at.get(x.owner) == k]
            return k if n_rows == 0 or all(rows_of(x, value) and _has_the_owners_rows(x) for x in inside) else None
    return None


def _rows(x: Value, has_kernels: bool) -> int | None:
    """The number of rows over which an operation can run in blocks, 0 for one of scalars, None if it can't."""
    if is_pointwise(x):
        return x.shape[0] if x.shape else 0
    if x.operation in REDUCTIONS and 0 not in x.settings[0] and x.operands[0].ndim > 1:
        n_rows = x.operands[0].shape[0]
        return n_rows if x.size == n_rows or not has_kernels else None
    if x.operation == "take" and has_kernels and x.settings == (0,):
        return x.shape[0]
    return None


def _fits_in(value: Value, n_rows: int, group: list[Value]) -> bool:
    """Whether a kernel of the group can compute the value too.

    Element j of a row may depend on elements j of the group's rows, or on whole rows that are reduced: a thread has no
    other elements in its registers.
    """
    inside = [x for x in value.operands if x.owner in group]
    width = max(x.size for x in (value, *value.operands)) if value.operation in REDUCTIONS else value.size
    alike = (x.is_contiguous and x.size == x.owner.size and x.size in (n_rows, width) for x in inside)
    return value.operation != "take" and all(alike) if inside else True


def _has_the_owners_rows(x: Value) -> bool:
    """Whether row i of x lies within row i of the value that it is a view of."""
    owner = x.owner
    inner = x.offset + sum((n - 1) * s for n, s in zip(x.shape[1:], x.strides[1:], strict=True))
    alike = owner.shape[:1] == x.shape[:1] and owner.strides[:1] == x.strides[:1] and not is_joined(owner)
    return alike and min(x.strides) >= 0 and inner < max(1, owner.strides[0])


def with_early_updates(
    items: list[Item], homes: Homes, written: dict[Value, tuple[int, int]], inputs: list[Value]
) -> list[Item]:
    """The items, in an order in which inputs are overwritten as soon as their old values are not needed.

    That frees the memory of gradients early. Single numbers that depend on inputs alone, such as a penalty, come
    first. ``written`` are the operations that overwrite an input, its number and the offset there in bytes.
    """
    found = _numbers_of_inputs(items)
    for item in (item for item in items if item not in found):
        updates = [y for y in item.operations if y in written]
        if not updates:
            found.append(item)
            continue
        needed = {x.owner for y in item.operations for x in y.operands}
        needed |= {part for part in homes if any(home.joined in needed for home in homes.around(part))}
        old = [(inputs[j], at // y.dtype.itemsize, y.size) for y in updates for j, at in [written[y]]]
        last = (i for i, other in enumerate(found) if needed & set(other.operations) or _reads(other, old))
        found.insert(1 + max(last, default=-1), item)
    return found


def _numbers_of_inputs(items: list[Item]) -> list[Item]:
    """The items that compute the single numbers that depend on inputs alone."""
    follow: set[Value] = set()
    for item in items:
        inside = follow.union(item.operations)
        if all(x.owner in inside or not x.owner.operands for y in item.operations for x in y.operands):
            follow = inside
    found: list[Item] = []
    needed: set[Value] = set()
    for item in reversed(items):
        mine = set(item.operations)
        if mine <= follow and (mine & needed or any(y.size == 1 for y in mine)):
            found.insert(0, item)
            needed |= {x.owner for y in mine for x in y.operands}
    return found


def _reads(item: Item, windows: list[tuple[Value, int, int]]) -> bool:
    """Whether an item reads any of these windows: an input, its first element, and the number of elements."""
    operands = ((x.owner, *x.extent) for y in item.operations for x in y.operands)
    return any(x is old and first < at + n and last >= at for x, first, last in operands for old, at, n in windows)
