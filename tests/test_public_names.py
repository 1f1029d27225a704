"""The public names: loaded when they are used, typed for checkers, documented, and the same in both lists."""

import ast
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import xpnet

PACKAGE = Path(xpnet.__file__).parent


def test_every_public_name_can_be_had():
    for name in xpnet.__all__:
        assert getattr(xpnet, name) is not None
        assert name in dir(xpnet)
    with pytest.raises(AttributeError, match=r"module 'xpnet' has no attribute 'Densse'; it has: .*Dense"):
        xpnet.Densse  # noqa: B018


def test_the_stub_and_the_module_have_the_same_names():
    found = {}
    for node in ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            assert all(alias.asname == alias.name for alias in node.names)  # otherwise it is not exported
            found |= {alias.name: node.module or "" for alias in node.names}
        elif isinstance(node, ast.Assign):
            listed = ast.literal_eval(node.value)
    assert found == {**dict.fromkeys(xpnet._MODULES, ""), **xpnet._HOME_OF}
    assert listed == sorted(found)


@pytest.mark.parametrize("name", xpnet._MODULES)
def test_modules_can_be_imported_by_their_public_names(name):
    module, source = importlib.import_module(f"xpnet.{name}"), importlib.import_module(f"xpnet.equations.{name}")
    assert getattr(xpnet, name) is module
    for public in module.__all__:
        assert not hasattr(source, public) or getattr(module, public) is getattr(source, public)
    assert set(source.__all__) <= set(module.__all__)


def run(code):
    """The output of a fresh Python."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_a_star_import_gives_every_name():
    code = "from xpnet import *\nimport xpnet\nprint(sorted(set(xpnet.__all__) - set(globals())))"
    assert run(code) == "[]\n"


def test_a_star_import_works_without_scikit_learn():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from xpnet import *\nfrom xpnet.activations import ReLU\n"
        "print(Model.__name__, Dense.__name__, ReLU.__name__, losses.Huber.__name__, 'MLPClassifier' in globals())"
    )
    assert run(code) == "Model Dense ReLU Huber False\n"
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import xpnet\n"
        "try:\n    xpnet.MLPClassifier\nexcept ImportError as error:\n    print(error)"
    )
    assert run(code) == 'xpnet.MLPClassifier needs scikit-learn: python -m pip install "xpnet[sklearn]"\n'


# --- types

SAMPLE = """
import numpy as np
import xpnet
from xpnet import Adam, Dense, MLPClassifier, Model, Sequential, epochs
from xpnet.activations import ReLU

model = Model(Sequential(Dense(16, ReLU()), xpnet.Dropout(0.5), Dense(1)), xpnet.losses.Huber())
state = model.initial(np.random.default_rng(0), 3, Adam(0.01))
for state, cost in epochs(model, state, np.ones((4, 3)), np.ones(4), n_epochs=2):
    total: float = cost + 1.0
W1 = state.parameters(model)["W1"]
fitted = MLPClassifier(hidden_layer_sizes=(5,), backend="numpy").fit(np.ones((4, 3)), [0, 1, 0, 1])
print(fitted.score(np.ones((4, 3)), [0, 1, 0, 1]) + 1.0, xpnet.summary(model, 3).n_parameters + 1)
"""
WRONG = {
    'xpnet.Dense("x", nonsense=3)': ("nonsense", 'incompatible type "str"'),
    "xpnet.epochs(model, state)": ("Missing positional arguments",),
    "model.initialise(3)": ('has no attribute "initialise"',),
    "xpnet.MLPClassifier(hidden_layers=3)": ("hidden_layers",),
    "xpnet.Adam(learning_rate='fast')": ("incompatible type",),
    "xpnet.summarise(model)": ('has no attribute "summarise"',),
    "xpnet.MLPClassifier().fit(3)": ('Missing positional argument "y"',),
    "xpnet.MLPRegressor().partial_fit(3)": ('Missing positional argument "y"',),
    "state.thta": ('has no attribute "thta"',),
}


def checked(**programs):
    """What ``mypy --strict`` says of programs that use xpnet: the lines of each, by its name."""
    for name, code in programs.items():
        Path(f"{name}.py").write_text(code, encoding="utf-8")
    Path("mypy.ini").write_text("[mypy]\nignore_missing_imports = True\n", encoding="utf-8")
    options = ["--strict", "--config-file", "mypy.ini", "--no-error-summary"]
    command = [sys.executable, "-m", "mypy", *options, *(f"{name}.py" for name in programs)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return {name: [line for line in lines if line.startswith(f"{name}.py:")] for name in programs}


@pytest.mark.skipif(os.environ.get("XPNET_REPLAY", "on") != "on", reason="types were checked with the replays on")
def test_a_strict_type_checker_knows_every_name(tmp_path, monkeypatch):
    pytest.importorskip("mypy", reason="mypy is not installed")
    monkeypatch.chdir(tmp_path)
    sample = SAMPLE + "".join(f"{line}\n" for line in WRONG)
    found = checked(sample=sample, star="from xpnet import *\nDense(3)\nlosses.Huber()\nDense(bad=1)\n")
    first = len(SAMPLE.splitlines()) + 1
    for number, (line, words) in enumerate(WRONG.items(), first):
        here = [text for text in found["sample"] if text.startswith(f"sample.py:{number}:")]
        for word in words:
            assert any(word in text for text in here), f"{line} is not refused: {found}"
    assert not [text for text in found["sample"] if int(text.split(":")[1]) < first]
    assert [line.split(":")[1] for line in found["star"]] == ["4"]


# --- documentation


def public():
    """Every public function and class, with its address."""
    for name in xpnet.__all__:
        found = getattr(xpnet, name)
        if not inspect.ismodule(found):
            yield f"xpnet.{name}", found
            continue
        yield from ((f"xpnet.{name}.{inner}", getattr(found, inner)) for inner in found.__all__)


DOCUMENTED = {name: found for name, found in public() if inspect.isclass(found) or inspect.isfunction(found)}
METHODS = {
    f"{name}.{method}": found
    for name, kind in DOCUMENTED.items()
    if inspect.isclass(kind)
    for method, found in vars(kind).items()
    if not method.startswith("_") and (inspect.isfunction(found) or isinstance(found, classmethod | property))
}


def parameters(function):
    """The names that a caller may give, without self."""
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:  # an exception whose constructor is Python's own
        return set()
    return {p.name for p in found if p.name not in ("self", "cls") and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_parameters_and_results_are_documented(name):
    docscrape = pytest.importorskip("numpydoc.docscrape", reason="numpydoc is not installed")
    found = DOCUMENTED[name]
    if getattr(found, "_is_protocol", False):
        assert found.__doc__
        return
    page = docscrape.NumpyDocString(inspect.getdoc(found) or "")
    named = {part.strip() for kind in ("Parameters", "Attributes") for p in page[kind] for part in p.name.split(",")}
    assert parameters(found) <= named, f"{parameters(found) - named} missing"
    if inspect.isfunction(found):
        returned = inspect.signature(found).return_annotation
        assert returned in (None, "None") or page["Returns"] or page["Yields"]


@pytest.mark.parametrize("name", METHODS)
def test_methods_have_a_docstring_and_types(name):
    kind, _, method = name.rpartition(".")
    assert inspect.getdoc(getattr(DOCUMENTED[kind], method))  # it may be inherited
    found = METHODS[name]
    function = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    function = inspect.unwrap(function)
    hints = function.__annotations__
    assert parameters(function) <= set(hints), f"{parameters(function) - set(hints)} have no type"
    assert "return" in hints
