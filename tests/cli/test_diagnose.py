"""``xpnet diagnose`` as a user runs it."""

import json

import pytest

FEW = "--epochs", "3"


def test_diagnose_says_what_is_wrong_and_exits_with_1(succeed, run, flowers):
    few = flowers[flowers.species != "setosa"]
    few.drop(few.index[few.species == "virginica"][3:]).to_csv("few.csv", index=False)
    succeed("train", "few.csv", "--target", "species", "--learning-rate", "1e-6", "--epochs", "20", "--quiet")
    code, out, err = run("diagnose", "few.safetensors", "few.csv")
    assert code == 1
    assert err == ""
    assert out.startswith("2 finding(s): 53 samples")
    assert "class imbalance (class virginica): 16.7, threshold 10: " in out
    assert "50 to 3" in out
    assert "set learning_rate_init to 1e-05 (it is 1e-06)" in out
    code, out, _ = run("diagnose", "few.safetensors", "few.csv", "--json")
    assert code == 1
    assert [f["kind"] for f in json.loads(out)["findings"]] == ["class imbalance", "learning rate too low"]


@pytest.mark.parametrize(("data", "target"), [("iris.csv", "species"), ("diabetes.csv", "target")])
def test_diagnose_finds_nothing_if_all_is_well(data, target, succeed):
    succeed("train", data, "--target", target, "--learning-rate", "0.003", "--epochs", "600", "--quiet")
    model = data.replace(".csv", ".safetensors")
    out, err = succeed("diagnose", model, data)
    assert out.startswith("nothing found: ")
    assert err == ""


def test_diagnose_and_gradcheck_refuse(succeed, refused, flowers):
    succeed("train", "iris.csv", "--target", "species", *FEW, "--quiet")
    flowers.drop(columns="species").to_csv("no.csv", index=False)
    for command in ("diagnose", "gradcheck"):
        refused("lacks the target species", command, "iris.safetensors", "no.csv")
        refused("there is no file 'x.safetensors'", command, "x.safetensors", "iris.csv")
        refused("backend is 'abacus'", command, "iris.safetensors", "iris.csv", "--backend", "abacus")
    refused("FILE is missing", "gradcheck", "iris.safetensors")
