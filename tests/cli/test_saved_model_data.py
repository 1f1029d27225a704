"""The samples that a saved model is applied to."""

import warnings

import numpy as np

import xpnet

FEW = "--epochs", "3"


def test_columns_are_found_by_name(iris_model, succeed, flowers):
    straight, _ = succeed("predict", "iris.safetensors", "iris.csv")
    flowers.drop(columns="species")[["petal w", "sepal w", "petal l", "sepal l"]].assign(note="x").to_csv("mixed.csv")
    mixed, err = succeed("predict", "iris.safetensors", "mixed.csv")
    assert mixed == straight
    assert "note: left out the columns Unnamed: 0, note" in err
    assert "accuracy" not in err


def test_arrays_are_taken_in_the_models_order(iris_model, succeed, flowers):
    np.savez("a.npz", X=flowers.drop(columns="species"))
    assert succeed("predict", "iris.safetensors", "a.npz") == (
        succeed("predict", "iris.safetensors", "iris.csv")[0],
        "",
    )


def test_the_target_of_a_model_saved_from_python_is_named(run, refused, flowers):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = flowers.drop(columns="species"), flowers["species"]
    settings = {"learning_rate_init": 0.01, "max_iter": 200, "tol": 0.0, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged, or early
        pipe = make_pipeline(StandardScaler(), xpnet.MLPClassifier((5,), **settings)).fit(X, y)
    path = xpnet.save(pipe, "plain.safetensors") or "plain.safetensors"
    for command in ("gradcheck", "diagnose", "explain"):
        for target, lacked in (((), "y"), (("--target", "size"), "size")):
            code, _, err = run(command, str(path), "iris.csv", *target)
            assert code == 2
            assert f"lacks the target {lacked}, which {command} needs: add it, or name its column with --target" in err
        code, out, err = run(command, str(path), "iris.csv", "--target", "species")
        assert code in ((0, 1) if command == "diagnose" else (0,)), err
        assert out
        refused("'digits' knows its target", command, str(path), "digits", "--target", "y")
