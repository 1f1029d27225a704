"""``xpnet summary`` as a user runs it."""

from pathlib import Path

import xpnet

FEW = "--epochs", "3"


def test_summary_prints_the_table_and_draws_the_picture(iris_model, succeed, refused):
    out, err = succeed("summary", "iris.safetensors", "--svg", "net.svg", "--batch-size", "10")
    assert out.rstrip("\n") == str(xpnet.summary(xpnet.load("iris.safetensors"), batch_size=10))
    assert "batches of 10" in out
    assert "wrote the picture to net.svg" in err
    svg = Path("net.svg").read_text(encoding="utf-8")
    assert svg == xpnet.to_svg(xpnet.load("iris.safetensors"))
    refused("the picture is written as .svg", "summary", "iris.safetensors", "--svg", "iris.safetensors")
    refused("the folder", "summary", "iris.safetensors", "--svg", "nowhere/net.svg")
    refused("is not a model file", "summary", "iris.csv")


def test_the_picture_of_a_regression_names_the_target(succeed):
    succeed("train", "diabetes.csv", "--target", "target", "--hidden", "3", *FEW)
    succeed("summary", "diabetes.safetensors", "--svg", "net.svg")
    text = Path("net.svg").read_text(encoding="utf-8")
    assert ">target</text>" in text
    assert ">bmi</text>" in text
