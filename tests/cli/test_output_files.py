"""Where the commands write: endings and folders are checked first."""

import pytest


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("iris.csv --target species --out none/a.safetensors", "folder .*none' is not there: make it"),
        ("iris.csv --target species --out iris.csv", "ends in .safetensors"),
    ],
)
def test_places_that_cant_be_written_get_one_line(command, message, make, refused):
    argv = command.split()
    make(argv[0])
    refused(message, "train", *argv)
