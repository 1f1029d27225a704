"""The data of ``train``: files, targets and columns that are not there."""

import pytest


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-target.csv --target species", r"'species' is missing in 1 row\(s\).*remove"),
        ("iris.csv", "--target is missing; the columns of 'iris.csv' are: sepal l, sepal w"),
        ("iris.csv --target kind", "'kind', which is no column.* its columns are: sepal l"),
        ("iris.csv --target species --drop kind", "--drop names 'kind', which is no column"),
        ("iris.csv --target species --drop species", "take it out of --drop"),
        ("nowhere.csv --target a", "there is no file 'nowhere.csv'"),
        ("digit", "built-in data set is called 'digits'"),
        ("digits --target digit", "leave them out"),
        ("table.xlsx --target a", "ends in '.xlsx', and .csv or .npz is needed"),
        ("short.npz --drop z", "--drop is for the columns of a .csv"),
    ],
)
def test_data_that_is_not_there_gets_one_line(command, message, make, refused):
    argv = command.split()
    make(argv[0])
    refused(message, "train", *argv)
