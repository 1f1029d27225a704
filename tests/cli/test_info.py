"""``xpnet info`` as a user runs it."""

import numpy as np

import xpnet


def test_info_names_versions_and_backends(monkeypatch, succeed, refused):
    out, _ = succeed("info")
    for text in (xpnet.__version__, np.__version__, "GPU", "backend auto      would take", "numpy (the default"):
        assert text in out
    monkeypatch.setenv("XPNET_BACKEND", "numpy")
    assert "backend now       numpy (XPNET_BACKEND=numpy)" in succeed("info")[0]
    assert "backend now       numpy (--backend cpu)" in succeed("info", "--backend", "cpu")[0]
    assert "(--backend auto: " in succeed("info", "--backend", "auto")[0]
    monkeypatch.setenv("XPNET_BACKEND", "tpu")
    refused("XPNET_BACKEND is 'tpu'; allowed", "info")


def test_lines_before_a_gpu_that_fails_are_kept(run, monkeypatch):
    def fail():
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr("xpnet.inspection.versions._gpu", fail)
    code, out, err = run("info")
    assert (code, err) == (2, "xpnet info: error: an illegal memory access was encountered\n")
    assert f"numpy             {np.__version__}\n" in out
    assert out.splitlines()[-1].startswith("cupy ")


def test_info_shows_what_a_model_holds(iris_model, succeed, refused):
    out, _ = succeed("info", "iris.safetensors")
    for text in (
        "format 1, written by xpnet " + xpnet.__version__,
        "MLPClassifier on scaled features",
        "4 -> 100 -> 3, 803 parameters, float64",
        "sepal l, sepal w, petal l, petal w",
        "classes   setosa, versicolor, virginica",
        "target    species",
        "30 epochs",
        "learning_rate_init=0.01",
    ):
        assert text in out
    refused("is not a model file", "info", "iris.csv")
