"""Which task a target means."""

import pytest

import xpnet

FEW = "--epochs", "3"


def test_whole_numbers_decide_the_task(succeed, flowers, patients):
    patients.astype({"target": int}).to_csv("many.csv", index=False)
    Y = flowers["species"].factorize()[0]
    flowers.assign(species=Y).to_csv("few.csv", index=False)
    flowers.assign(species=Y > 0).to_csv("bool.csv", index=False)
    assert "regression ('target' is 214 distinct" in succeed("train", "many.csv", "--target", "target", *FEW)[0]
    assert "classification ('species' is 3 dist" in succeed("train", "few.csv", "--target", "species", *FEW)[0]
    assert "is true or false" in succeed("train", "bool.csv", "--target", "species", *FEW)[0]
    assert xpnet.load("bool.safetensors").classes_.dtype == bool
    forced = succeed("train", "few.csv", "--target", "species", *FEW, "--task", "regression")[0]
    assert "regression (--task regression)" in forced


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("constant.csv --target target", "is constant, 2.5 in every row"),
        ("iris.csv --target species --task regression", "holds text, such as 'setosa'"),
        ("diabetes.csv --target bmi --task classification", "numbers with decimals.*--task regression"),
    ],
)
def test_targets_of_another_task_get_one_line(command, message, make, refused):
    argv = command.split()
    make(argv[0])
    refused(message, "train", *argv)
