"""The samples held out: enough of every class, or an error."""

import pytest


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("one-class.csv --target species", "only one class, setosa"),
        ("rare.csv --target species", r"1 sample\(s\) of the class odd, and 2 are needed: add"),
        ("rare-number.csv --target species", "of the class 7.*--task regression"),
        ("small.csv --target target", "3 samples with --test-size 0.25 are too few"),
        ("diabetes.csv --target target --task classification", "of the class .*--task regression"),
        ("iris.csv --target species --test-size 0.99", "at least 3 and at most 147"),
        ("iris.csv --target species --test-size 0.9 --early-stopping", "too few.*leave out --early-stopping"),
    ],
)
def test_too_few_samples_get_one_line(command, message, make, refused):
    argv = command.split()
    make(argv[0])
    refused(message, "train", *argv)
