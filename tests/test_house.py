"""The house: a module imports from lower floors only, in no circle, and the equations know no array library."""

import ast
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import xpnet

HOUSE = Path(xpnet.__file__).parent

FLOORS = {
    "backends": 0,
    "program": 0.5,
    "equations": 1,
    "equations.activations": 1,
    "equations.initializers": 1,
    "equations.optimizers": 1,
    "equations.penalties": 1,
    "equations.schedules": 1,
    "equations.convolution": 2,
    "equations.dropout": 2,
    "equations.layers": 2,
    "equations.losses": 2,
    "equations.normalization": 2,
    "network": 3,
    "state": 4,
    "model": 4,
    "distributed": 4,
    "training": 5,
    "estimators": 6,
    "inspection": 7,
    "saving": 7,
    "cli": 8,
    "__main__": 9,
}
"""A module's floor; a folder's holds for all that is in it and not listed."""

HANDED_UP = {
    (module, other)
    for module in ("model", "estimators.base")
    for other in ("inspection.explanation", "inspection.summary", "inspection.drawing.network")
}
"""A method that hands its caller on to a higher floor, which it imports when it is called."""

SCIKIT_LEARN = ("estimators", "saving", "inspection", "cli")
"""Who may import scikit-learn: what is made for its estimators."""
CUPY = ("cupy", "cupyx", "cupy_backends", "nvmath", "cuda")


def modules():
    """Every module's dotted name below xpnet, with its path; the package itself is "" and hands names on."""
    found = {}
    for path in sorted(HOUSE.rglob("*.py")):
        parts = path.relative_to(HOUSE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
INSIDE = sorted(set(MODULES) - {""})


def floor(module):
    """The floor of a module, or of the folder it lies in."""
    while module not in FLOORS:
        if "." not in module:
            raise KeyError(f"{module} has no floor: give it one in FLOORS")
        module = module.rpartition(".")[0]
    return FLOORS[module]


def top(module):
    """The folder, or the file, that a module belongs to."""
    return module.partition(".")[0]


def folder(module):
    """Where a module lies: "" for a file of the house itself, "cli" for all that is in cli."""
    return top(module) if "." in module or MODULES[module].name == "__init__.py" else ""


def imports(source, module, is_package):
    """What a module and its functions import, as absolute names ("xpnet.network", "numpy")."""
    found = set()
    for node in ast.walk(ast.parse(source)):
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
    """The imports of one of our modules."""
    path = MODULES[module]
    return imports(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")


def of_the_module_alone(module):
    """The imports of one of our modules that are made when it is imported: those in no function."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Pass()]
    return imports(ast.unparse(tree), module, MODULES[module].name == "__init__.py")


def own(found):
    """Our own modules among imports."""
    return {name.removeprefix("xpnet.") for name in found if known(name)}


# --- floors


@pytest.mark.parametrize("module", INSIDE)
def test_a_module_imports_from_lower_floors_only(module):
    for other in own(of(module)):
        if (module, other) in HANDED_UP:
            assert other not in own(of_the_module_alone(module)), f"{module} imports {other} outside of a function"
            continue
        assert floor(other) <= floor(module), f"{module} (floor {floor(module)}) imports {other} (floor {floor(other)})"
        if floor(other) == floor(module):
            assert folder(other) == folder(module), f"{module} imports {other}, which has its floor but not its folder"


def test_nothing_is_imported_in_a_circle():
    # A package's own file is run before what lies in it, so importing a.b means importing a; what a package imports
    # from its own inside is how it hands names on, and no circle.
    handed = {module: {other for one, other in HANDED_UP if one == module} for module in INSIDE}
    graph = {module: own(of(module)) - handed[module] for module in INSIDE}
    for module, others in graph.items():
        for other in list(others):
            if "." in other and not module.startswith(top(other)):
                others.add(top(other))
    done, path = set(), []

    def visit(module):
        assert module not in path, f"a circle: {' -> '.join([*path[path.index(module) :], module])}"
        if module not in done:
            path.append(module)
            for other in sorted(graph[module]):
                visit(other)
            path.pop()
            done.add(module)

    for module in INSIDE:
        visit(module)


def test_the_package_itself_only_hands_names_on():
    assert own(of("")) == set()
    for home in xpnet._HOMES:
        assert home in MODULES


# --- libraries


@pytest.mark.parametrize("module", INSIDE)
def test_only_the_border_imports_cupy(module):
    if top(module) not in ("backends", "program"):
        assert not [n for n in of(module) if n.split(".")[0] in CUPY or n.startswith("array_api_compat.cupy")]


@pytest.mark.parametrize("module", INSIDE)
def test_only_estimators_and_what_is_above_them_import_scikit_learn(module):
    if top(module) not in SCIKIT_LEARN:
        assert not [name for name in of(module) if name.split(".")[0] == "sklearn"]


EQUATIONS = [module for module in INSIDE if top(module) == "equations"]
LIBRARIES = {"np", "numpy", "cp", "cupy", "torch", "jax", "jnp", "array_api_compat", "array_api_strict", "scipy"}


@pytest.mark.parametrize("module", EQUATIONS)
def test_equations_import_no_array_library(module):
    assert not [name for name in of(module) if name.split(".")[0] in LIBRARIES]


@pytest.mark.parametrize("module", EQUATIONS)
def test_equations_name_no_array_library_in_code(module):
    with MODULES[module].open("rb") as file:
        names = [t.string for t in tokenize.tokenize(file.readline) if t.type == tokenize.NAME]
    assert not LIBRARIES & set(names)


PLAIN = {"dataclass", "property", "cached_property", "lru_cache", "staticmethod"}


@pytest.mark.parametrize("module", [*EQUATIONS, "network", "model"])
def test_equations_have_no_decorators_of_ours_and_know_no_program(module):
    assert not [name for name in of(module) if name.startswith("xpnet.program")] or module == "model"
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        for decorator in getattr(node, "decorator_list", ()):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            assert ast.unparse(called).rpartition(".")[2] in PLAIN


def modules_after(code):
    """The modules that a fresh Python holds once it has run the code."""
    code += "\nimport sys\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def tops(names):
    return {name.partition(".")[0] for name in names if not name.startswith("__")}


def test_importing_xpnet_costs_numpy_and_nothing_more():
    bare = modules_after("import numpy, numpy.fft, numpy.random")
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


def test_every_public_name_can_be_had():
    for name in xpnet.__all__:
        assert getattr(xpnet, name) is not None
        assert name in dir(xpnet)
    with pytest.raises(AttributeError, match=r"module 'xpnet' has no attribute 'Densse'; it has: .*Dense"):
        xpnet.Densse  # noqa: B018


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
    assert imports(source, "equations.losses", False) == found


@pytest.mark.parametrize(("module", "other"), sorted(HANDED_UP))
def test_what_is_handed_up_is_imported_in_a_function(module, other):
    assert other in own(of(module))
    assert other not in own(of_the_module_alone(module))
    assert own(of_the_module_alone(module))


def test_every_module_has_a_floor():
    assert {floor(module) for module in INSIDE} >= set(range(9)) - {6, 7, 8}
    with pytest.raises(KeyError, match="cellar has no floor"):
        floor("cellar")
