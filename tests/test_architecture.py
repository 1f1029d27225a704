"""The architecture: imports without circles, equations without array libraries, short functions, few base classes."""

import ast
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import xpnet

PACKAGE = Path(xpnet.__file__).parent

ORDER = (
    "backends",
    "program",
    "equations",
    *xpnet._MODULES,
    "distributed",
    "network",
    "state",
    "block_prediction",
    "model",
    "step",
    "training",
    "inspection",
    "estimators",
    "saving",
    "examples",
    "cli",
    "__main__",
)
"""Folders and files from the bottom up: each imports from those before it, and from its own folder."""

SCIKIT_LEARN = ("estimators", "saving", "inspection", "examples", "cli")
"""The folders that may import scikit-learn."""
CUPY = ("cupy", "cupyx", "cupy_backends", "nvmath", "cuda")
LINES_OF_A_FUNCTION = 40
"""Signature and body, without the docstring."""


def modules():
    """Every module's dotted name below xpnet, with its path; the package itself is ""."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
SUBMODULES = sorted(set(MODULES) - {""})


def top(module):
    """The folder, or the file, that a module belongs to."""
    return module.partition(".")[0]


def parsed(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(tree, module, is_package):
    """What a module and its functions import, as absolute names ("xpnet.network", "numpy")."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ["xpnet", *module.split(".")] if is_package else ["xpnet", *module.split(".")][:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, *([node.module] if node.module else [])])
            # "from . import name": the name may be a module.
            found |= {f"{base}.{alias.name}" if known(f"{base}.{alias.name}") else base for alias in node.names}
    return found


def known(name):
    return name.startswith("xpnet.") and name.removeprefix("xpnet.") in MODULES


def of(module):
    """The imports of one of our modules, those in its functions among them."""
    return imports(parsed(module), module, MODULES[module].name == "__init__.py")


def own(found):
    """Our own modules among imports."""
    return {name.removeprefix("xpnet.") for name in found if known(name)}


# --- imports


def test_every_folder_has_its_place():
    assert {top(module) for module in SUBMODULES} == set(ORDER)


@pytest.mark.parametrize("module", SUBMODULES)
def test_a_module_imports_from_below_or_from_its_own_folder(module):
    for other in own(of(module)):
        same = top(other) == top(module)
        assert same or ORDER.index(top(other)) < ORDER.index(top(module)), (
            f"{module} imports {other}, which is above it"
        )


def test_nothing_is_imported_in_a_circle():
    # Importing a.b runs a's own file first; a package imports from its own modules to hand on their names.
    graph = {module: own(of(module)) for module in SUBMODULES}
    for module, others in graph.items():
        for other in list(others):
            packages = [other.rpartition(".")[0]] if "." in other else []
            others.update(package for package in packages if not f"{module}.".startswith(f"{package}."))
    assert circle(graph) is None


def circle(graph):
    """The modules of a circle, or None."""
    done, path = set(), []

    def visit(module):
        if module in path:
            return [*path[path.index(module) :], module]
        if module not in done:
            path.append(module)
            for other in sorted(graph[module]):
                if found := visit(other):
                    return found
            path.pop()
            done.add(module)
        return None

    return next(filter(None, map(visit, graph)), None)


def test_the_package_itself_imports_none_of_its_modules():
    assert own(of("")) == set()


@pytest.mark.parametrize("module", SUBMODULES)
def test_only_backends_and_program_import_cupy(module):
    if top(module) not in ("backends", "program"):
        assert not [n for n in of(module) if n.split(".")[0] in CUPY or n.startswith("array_api_compat.cupy")]


@pytest.mark.parametrize("module", SUBMODULES)
def test_who_imports_scikit_learn(module):
    if top(module) not in SCIKIT_LEARN:
        assert not [name for name in of(module) if name.split(".")[0] == "sklearn"]


# --- equations

EQUATIONS = [module for module in SUBMODULES if top(module) == "equations"]
LIBRARIES = {"np", "numpy", "cp", "cupy", "torch", "jax", "jnp", "array_api_compat", "array_api_strict", "scipy"}
PLAIN = {"dataclass", "property", "cached_property", "lru_cache", "staticmethod"}


@pytest.mark.parametrize("module", EQUATIONS)
def test_equations_know_no_array_library(module):
    assert not [name for name in of(module) if name.split(".")[0] in LIBRARIES]
    with MODULES[module].open("rb") as file:
        names = [t.string for t in tokenize.tokenize(file.readline) if t.type == tokenize.NAME]
    assert not LIBRARIES & set(names)


@pytest.mark.parametrize("module", [*EQUATIONS, "network", "model"])
def test_equations_have_no_decorators_of_ours_and_know_no_program(module):
    assert not [name for name in of(module) if name.startswith("xpnet.program")] or module == "model"
    for node in ast.walk(parsed(module)):
        for decorator in getattr(node, "decorator_list", ()):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            assert ast.unparse(called).rpartition(".")[2] in PLAIN


# --- sizes


def functions():
    """Each function with its number of lines, without its docstring."""
    for module in MODULES:
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                has_docstring = ast.get_docstring(node) is not None
                n_docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
                yield f"{module}.{node.name}", node.end_lineno - node.lineno + 1 - n_docstring


def test_functions_are_short():
    found = {name: n for name, n in functions() if n > LINES_OF_A_FUNCTION}
    assert not found


def test_classes_have_at_most_two_bases_of_ours():
    classes = {}
    for module in MODULES:
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = [ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in node.bases]
    found = {name: bases for name, bases in classes.items() if sum(base in classes for base in bases) > 2}
    assert not found


# --- what an import costs


def modules_after(code):
    """The modules that a fresh Python holds once it has run the code."""
    code += "\nimport sys\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def tops(names):
    return {name.partition(".")[0] for name in names if not name.startswith("__")}


def test_importing_xpnet_costs_numpy_and_nothing_more():
    bare = modules_after("import numpy, numpy.fft, numpy.random, numpy.f2py")
    assert tops(modules_after("import xpnet; dir(xpnet)")) - tops(bare) - sys.stdlib_module_names == {"xpnet"}
    used = "import xpnet; xpnet.Model, xpnet.Sequential, xpnet.Dense, xpnet.Adam, xpnet.epochs, xpnet.get_backend"
    more = tops(modules_after(used)) - tops(bare) - sys.stdlib_module_names
    assert {name for name in more if not name.startswith("_")} == {"xpnet", "array_api_compat"}


def test_training_imports_nothing_more():
    code = (
        "import numpy as np, xpnet\n"
        "model = xpnet.Model(xpnet.Sequential(xpnet.Dense(2)))\n"
        "state = model.initial(np.random.default_rng(0), 3, xpnet.Adam())\n"
        "next(xpnet.epochs(model, state, np.ones((4, 3)), np.ones((4, 2)), batch_size=2))\n"
        "model.predict(state.theta, [[1, 2, 3]])"
    )
    for library in ("sklearn", "scipy", "torch", "cupy", "jax", "matplotlib", "pandas", "rich", "safetensors"):
        assert library not in tops(modules_after(code))


WITHOUT_POSIX = """
import os, sys
for name in ("fork", "register_at_fork", "sched_getaffinity", "getuid"):
    delattr(os, name) if hasattr(os, name) else None
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
import numpy as np, xpnet
rng = np.random.default_rng(0)
model = xpnet.Model(xpnet.Sequential(xpnet.Dense(5, "tanh"), xpnet.Dense(2)))
state = model.initial(rng, 3, xpnet.Adam(0.01))
passes = xpnet.epochs(model, state, rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), batch_size=10, rng=rng)
first, last = [next(passes)[1] for _ in range(20)][:: 19]
assert last < first
"""


def test_training_needs_nothing_that_only_posix_has():
    """Without POSIX, as on Windows, and with no file opened in the system's own encoding."""
    options = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning"]
    run = [sys.executable, *options, "-c", WITHOUT_POSIX]
    done = subprocess.run(run, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


# --- and these tests can fail


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from ..network import Model", {"xpnet.network"}),
        ("from .activations import Linear", {"xpnet.equations.activations"}),
        ("from . import activations, layers", {"xpnet.equations.activations", "xpnet.equations.layers"}),
        ("from .. import training", {"xpnet.training"}),
        ("from .. import __version__", {"xpnet"}),
        ("import xpnet.cli as c", {"xpnet.cli"}),
        ("from xpnet.network import Model", {"xpnet.network"}),
        ("def f():\n    import sklearn.utils", {"sklearn.utils"}),
        ("if True:\n    import numpy as np", {"numpy"}),
        ("class A:\n    def f(self):\n        from ..backends.cupy import fused", {"xpnet.backends.cupy"}),
    ],
)
def test_imports_are_found_however_they_are_written(source, found):
    assert imports(ast.parse(source), "equations.losses", False) == found


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()}) == ["a", "b", "c", "a"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
