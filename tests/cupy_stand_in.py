"""CuPy without a GPU: arrays on the host that behave as on a device, with streams, capture and replay.

While a stream captures, nothing is computed: each operation is put on a tape together with the addresses that it reads
and writes, and a launch runs the tape. So a test finds what a graph would get wrong: a value that the host froze, an
array that moved, a write that was forgotten.
"""

import contextlib
import types

import array_api_compat.numpy as numpy_namespace
import numpy as np


class OutOfMemoryError(Exception):
    """As CuPy's."""


class CUDARuntimeError(Exception):
    """As CuPy's."""


class Machine:
    """What the host does, and the tape of a stream that captures."""

    tape = None
    in_kernel = False
    graphs = 0
    launches = 0
    eager = 0
    forbidden: str | None = None

    def perform(self, operation):
        """Run a write to device memory, or put it on the tape."""
        if self.tape is None or self.in_kernel:
            self.eager += 1
            return operation()
        return self.tape.append(operation)

    def compute(self, function, *arguments, **settings):
        """The function's result: itself where it is a view, else an array that the tape will fill again."""
        with np.errstate(all="ignore"):
            result = _bare(function(*_bare(arguments), **_bare(settings)))
        if self.in_kernel or not isinstance(result, np.ndarray | np.generic):
            return _on_device(result)
        if any(np.shares_memory(result, a) for a in _flat(arguments) if isinstance(a, np.ndarray)):
            return _on_device(result)
        if self.tape is None:
            self.eager += 1
            return asarray_quietly(result)
        if self.forbidden is not None:
            raise RuntimeError(self.forbidden)
        place = empty(result.shape, result.dtype)

        def again():
            with np.errstate(all="ignore"):
                np.ndarray.__setitem__(place, ..., function(*_bare(arguments), **_bare(settings)))

        self.tape.append(again)
        return place


MACHINE = Machine()


def _bare(x):
    if isinstance(x, DeviceArray):
        return x.view(np.ndarray)
    if isinstance(x, tuple | list):
        return type(x)(map(_bare, x))
    return {k: _bare(v) for k, v in x.items()} if isinstance(x, dict) else x


def _on_device(x):
    if isinstance(x, tuple | list):
        return type(x)(map(_on_device, x))
    return np.asarray(x).view(DeviceArray) if isinstance(x, np.ndarray | np.generic) else x


def _flat(x):
    return [y for item in x for y in _flat(item)] if isinstance(x, tuple | list) else [x]


class Pointer:
    """A device pointer, and the allocation that it points into."""

    def __init__(self, array):
        self.ptr, self.mem = array.ctypes.data, array
        while isinstance(self.mem.base, np.ndarray):
            self.mem = self.mem.base


class DeviceArray(np.ndarray):
    """``cupy.ndarray``'s face; a result without dimensions stays an array."""

    def __new__(cls, shape, dtype, memptr=None):
        if memptr is None:
            return empty(shape, dtype)
        start = memptr.ptr - memptr.mem.ctypes.data
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return memptr.mem[start : start + n_bytes].view(dtype).reshape(shape).view(cls)

    @property
    def data(self):
        return Pointer(self)

    @property
    def device(self):
        return DEVICE

    def get(self):
        if MACHINE.tape is not None:
            raise CUDARuntimeError("a copy to the host while a stream captures")
        return np.array(self.view(np.ndarray))

    __float__ = lambda self: float(self.get())
    __bool__ = lambda self: bool(self.get())

    def set(self, host, stream=None):
        MACHINE.perform(lambda: np.ndarray.__setitem__(self, ..., host))

    def copy(self, order="C"):
        return MACHINE.compute(np.array, self)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **settings):
        if out is None:
            return MACHINE.compute(getattr(ufunc, method), *inputs, **settings)
        target = out[0]
        run = lambda: getattr(ufunc, method)(*_bare(inputs), out=_bare(out), **_bare(settings))
        MACHINE.perform(run)
        return target

    def __array_function__(self, function, kinds, arguments, settings):
        return MACHINE.compute(function, *arguments, **settings)

    def __getitem__(self, key):
        key = key if isinstance(key, tuple) else (key,)
        return super().__getitem__(key if any(k is Ellipsis for k in key) else (*key, ...))

    def __setitem__(self, key, value):
        if np.iterable(value) and not isinstance(value, DeviceArray) and not MACHINE.in_kernel:
            raise TypeError("a host array is written to the device")
        MACHINE.perform(lambda: np.ndarray.__setitem__(self.view(np.ndarray), key, _bare(value)))

    def reshape(self, *shape):
        return self.view(np.ndarray).reshape(*shape).view(DeviceArray)


def empty(shape, dtype=np.float64):
    """Uninitialised, on an address that is a multiple of 256."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.full(max(1, n_bytes) + 256, 0xFF, np.uint8)  # NaN, in every floating dtype
    start = -raw.ctypes.data % 256
    return raw[start : start + n_bytes].view(dtype).reshape(shape).view(DeviceArray)


def asarray(x, dtype=None, device=None, copy=None):
    """x on the device."""
    if isinstance(x, DeviceArray) and not copy and dtype in (None, x.dtype):
        return x
    if MACHINE.tape is not None and not isinstance(x, DeviceArray):
        raise CUDARuntimeError("a copy from the host while a stream captures")
    host = np.asarray(_bare(x), dtype)
    array = empty(host.shape, host.dtype)
    np.ndarray.__setitem__(array, ..., host)
    return array


def filled(value):
    """ones or zeros."""

    def create(shape, dtype=np.float64, device=None):
        array = empty(shape, dtype)
        array[...] = value
        return array

    return create


def arange(n, dtype=np.int64, device=None):
    """0, 1, ..., n - 1, written by a kernel."""
    array = empty(n, dtype)
    MACHINE.perform(lambda: np.ndarray.__setitem__(array, ..., np.arange(n, dtype=dtype)))
    return array


def _function(function):
    return lambda *arguments, **settings: MACHINE.compute(function, *arguments, **settings)


def _take(A, indices, axis=None):
    return MACHINE.compute(np.take, A, indices, axis=axis)


_NAMES = """abs astype add concat exp expm1 finfo isfinite log log1p matmul matrix_transpose max maximum min minimum
reshape sqrt sum tanh vecdot where count_nonzero isdtype any all float32 float64 int32 int64 argmax""".split()


def array_namespace():
    """As array_api_compat.cupy."""
    found = types.SimpleNamespace(__name__="array_api_compat.cupy")
    for name in _NAMES:
        value = getattr(numpy_namespace, name)
        is_plain = isinstance(value, type) or name in ("finfo", "isdtype")
        setattr(found, name, value if is_plain else _function(value))
    creators = {
        "asarray": asarray,
        "empty": empty,
        "zeros": filled(0),
        "ones": filled(1),
        "arange": arange,
        "take": _take,
    }
    for name, value in creators.items():
        setattr(found, name, value)
    return found


XP = array_namespace()


class Kernel:
    """As ``cupy.fuse(...)(f)``: one launch."""

    new_fusion = None

    def __init__(self, function):
        self.function = function

    def __call__(self, *arguments):
        def run(*bare):
            before, MACHINE.in_kernel = MACHINE.in_kernel, True
            try:
                return self.function(*bare)
            finally:
                MACHINE.in_kernel = before

        results = {}

        def launch():
            with np.errstate(all="ignore"):
                values = run(*map(_bare, arguments))
            for k, value in enumerate(_flat([values]) if values is not None else []):
                if k in results:
                    np.ndarray.__setitem__(results[k], ..., value)
                else:
                    results[k] = asarray_quietly(value)
            return values

        if MACHINE.tape is None:
            MACHINE.eager += 1
            values = launch()
        else:
            values = self._shapes(arguments, run, results)
            MACHINE.tape.append(launch)
        if values is None:
            return None
        return tuple(results[k] for k in range(len(values))) if isinstance(values, tuple) else results[0]

    @staticmethod
    def _shapes(arguments, run, results):
        copies = [np.array(a) if isinstance(a, np.ndarray) else a for a in map(_bare, arguments)]
        with np.errstate(all="ignore"):
            values = run(*copies)
        for k, value in enumerate(_flat([values]) if values is not None else []):
            results[k] = empty(np.shape(value), value.dtype)
        return values


def asarray_quietly(value):
    """A result on the device, whatever is captured."""
    array = empty(np.shape(value), value.dtype)
    np.ndarray.__setitem__(array, ..., value)
    return array


class Graph:
    """A tape that can be run again."""

    def __init__(self, tape):
        self.tape = tape
        MACHINE.graphs += 1

    def launch(self, stream=None):
        MACHINE.launches += 1
        for operation in self.tape:
            operation()


class Event:
    """Everything here happens in order."""

    def __init__(self, disable_timing=False):
        pass

    def record(self, stream=None):
        return self

    def synchronize(self):
        return None


class Stream(contextlib.nullcontext):
    """A stream; the current one is wherever the host stands."""

    ptr = 0

    def __init__(self, non_blocking=False):
        super().__init__(self)

    def record(self, event=None):
        return event or Event()

    def wait_event(self, event):
        return None

    def begin_capture(self):
        MACHINE.tape = []

    def end_capture(self):
        tape, MACHINE.tape = MACHINE.tape, None
        return Graph(tape)


class Device(contextlib.nullcontext):
    """Device 0."""

    id = 0


DEVICE = Device()


class MemoryPool:
    """A pool that gives nothing back."""

    malloc = None


def module():
    """As ``cupy``."""
    runtime = types.SimpleNamespace(
        getDevice=lambda: 0, memGetInfo=lambda: (10**9, 10**10), CUDARuntimeError=CUDARuntimeError
    )
    memory = types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    cuda = types.SimpleNamespace(
        Stream=Stream, Event=Event, MemoryPool=MemoryPool, runtime=runtime, memory=memory,
        get_current_stream=Stream, using_allocator=lambda allocator: contextlib.nullcontext(),
    )  # fmt: skip
    return types.SimpleNamespace(
        __version__="14.2.0", ndarray=DeviceArray, uint8=np.uint8, cuda=cuda, asarray=asarray, empty=empty,
        empty_like=lambda a: empty(a.shape, a.dtype), ones=filled(1), ascontiguousarray=lambda a: asarray(a, copy=True),
        fuse=lambda kernel_name: Kernel,
    )  # fmt: skip
