"""Tables: separators, names, and what is refused."""

import pytest

import xpnet

FEW = "--epochs", "3"


def test_other_separators_and_a_byte_order_mark(succeed, flowers):
    flowers.to_csv("s.csv", index=False, sep=";", encoding="utf-8-sig")
    flowers.to_csv("t.csv", index=False, sep="\t")
    for name in ("s.csv", "t.csv"):
        succeed("train", name, "--target", "species", "--drop", "sepal l, sepal w", *FEW)
    assert xpnet.load("s.safetensors").feature_names_in_.tolist() == ["petal l", "petal w"]


def test_a_column_without_a_name_is_noticed(succeed, flowers):
    flowers.to_csv("indexed.csv")
    _, err = succeed("train", "indexed.csv", "--target", "species", *FEW)
    assert "note: the header has no name for Unnamed: 0" in err
    _, err = succeed("train", "indexed.csv", "--target", "species", *FEW, "--drop", "Unnamed: 0")
    assert not err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("text.csv --target species", "columns farm, soil of 'text.csv' hold text.*--drop"),
        ("missing.csv --target species", r"missing in the columns sepal w \(2\).*--drop"),
        ("alone.csv --target species", "no columns left"),
        ("infinite.csv --target species", "columns petal l of .* infinite"),
        ("twice.csv --target b", "names a more than once"),
        ("empty.csv --target a", "'empty.csv' is empty"),
        ("header.csv --target a", "no rows of data"),
        ("wide.csv --target a", "as many fields as the header"),
        ("ragged.csv --target a", "as many fields as the header"),
        ("binary.csv --target a", "not text in UTF-8"),
    ],
)
def test_tables_with_mistakes_get_one_line(command, message, make, refused):
    argv = command.split()
    make(argv[0])
    refused(message, "train", *argv)
