"""The command line as a whole: help, unknown commands, packages that are missing."""

import os
import subprocess
import sys

import pytest

import xpnet


def test_help_version_and_unknown_commands(succeed, refused):
    out, _ = succeed()
    assert "train" in out
    assert "predict" in out
    assert succeed("--version")[0] == f"xpnet {xpnet.__version__}\n"
    assert "by default" in succeed("train", "--help")[0]
    refused("invalid choice: 'trian'", "trian")


def test_missing_packages_name_the_install_line(monkeypatch, succeed, run, refused):
    monkeypatch.setattr("xpnet.cli.importlib.util.find_spec", lambda name: None if name != "sklearn" else "there")
    install = r'pandas and matplotlib not installed: run python -m pip install "xpnet\[cli\]"'
    refused(install, "train", "digits")
    refused(install, "predict", "a.safetensors", "iris.csv")
    succeed("info")


def test_letters_that_the_encoding_lacks_are_replaced(flowers):
    flowers.rename(columns={"sepal l": "α"}).to_csv("fleurs-é.csv", index=False)
    command = [sys.executable, "-m", "xpnet", "train", "fleurs-é.csv", "--target", "species", "--epochs", "1"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "150 rows of fleurs-?.csv" in done.stdout


@pytest.mark.parametrize("command", ["explain D0", "summary iris.safetensors", "diagnose iris.safetensors iris.csv"])
def test_a_reader_that_has_gone_is_no_error(command, iris_model):
    argv = [sys.executable, "-m", "xpnet", *command.split()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_importing_the_commands_is_cheap():
    code = "import sys, xpnet.cli; print(*{'numpy', 'sklearn', 'pandas', 'matplotlib', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
