"""The options and their types."""

import pytest


@pytest.mark.parametrize(
    "option",
    "--hidden a|--hidden 5,0|--epochs 0|--test-size 1|--alpha -1|--solver lbfgs|--seed x|--batch-size -3|"
    "--learning-rate 0|--activation step|--task guess|--nonsense".split("|"),
)
def test_options_out_of_range_get_one_line(option, refused):
    refused("see xpnet train --help", "train", "iris.csv", "--target", "species", *option.split())
