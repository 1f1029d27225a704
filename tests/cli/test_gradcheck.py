"""``xpnet gradcheck`` as a user runs it."""

import re
import subprocess
import sys

FEW = "--epochs", "3"


def test_gradcheck_of_a_model(succeed):
    succeed("train", "iris.csv", "--target", "species", "--activation", "tanh", *FEW, "--quiet")
    for every, looked_at in (((), "5 directions of 803"), (("--every",), "each of 803")):
        out, _ = succeed("gradcheck", "iris.safetensors", "iris.csv", *every)
        error = float(re.search(r"right: off by (\S+) of its norm", out)[1])
        assert error <= 1e-12
        assert looked_at in out


def test_gradcheck_of_the_package(succeed):
    out, _ = succeed("gradcheck")
    from xpnet.equations import activations, losses

    for f in activations.BY_NAME.values():
        assert f"activation {type(f).__name__} " in out
    for loss in losses.BY_NAME.values():
        assert f"loss {type(loss).__name__} " in out
    n = len(re.findall(r"right: off by \S+", out))
    assert f"{n} of {n} gradients are right" in out


def test_gradcheck_of_the_package_has_every_layer():
    from xpnet.cli.gradcheck import LAYERS
    from xpnet.equations import dropout, layers

    homes = {**vars(layers), **vars(dropout)}.values()
    kinds = {kind for kind in homes if hasattr(kind, "shapes")} - {layers.Layer}
    assert len(kinds) >= 3
    assert {type(layer) for layer in LAYERS} >= kinds


def test_gradcheck_finds_a_wrong_gradient_in_the_package(monkeypatch, run):
    from xpnet.equations.losses import HalfSquaredError

    def doubled(self, Z, Y):
        E = Z - Y
        return E * E, E

    monkeypatch.setattr(HalfSquaredError, "per_element", doubled)
    code, out, err = run("gradcheck")
    assert code == 1
    assert err == ""
    assert len(re.findall("the gradient is wrong", out)) == 1
    assert re.search(r"loss HalfSquaredError +the gradient is wrong: .* worst Z\[", out)


def test_gradcheck_of_the_package_needs_numpy_alone():
    code = (
        "import sys\n"
        "for name in ('sklearn', 'pandas', 'matplotlib', 'rich'): sys.modules[name] = None\n"
        "from xpnet.cli import main\n"
        "sys.exit(main(['gradcheck']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "gradients are right" in done.stdout
