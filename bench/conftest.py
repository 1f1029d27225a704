"""``--backend``, the machine in the JSON, and the ratios at the end of the run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules here are a script's neighbours, not an installed package

from machine import libraries
from nets import NETS

from xpnet import BackendUnavailableError, get_backend

_RATIOS = pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.addoption(
        "--backend",
        default="numpy",
        metavar="NAME[,NAME]",
        help='where to measure: "numpy", "cupy", or both with a comma between; one that is missing is an error',
    )


def pytest_configure(config):
    config.stash[_RATIOS] = []
    _backends(config)


def _backends(config):
    try:
        return {name: get_backend(name) for name in config.getoption("--backend").split(",")}
    except (BackendUnavailableError, ValueError) as error:
        raise pytest.UsageError(f"--backend: {error}") from error


def pytest_generate_tests(metafunc):
    if "net" in metafunc.fixturenames:
        metafunc.parametrize("net", NETS.values(), ids=NETS, scope="session")
    if "backend" in metafunc.fixturenames:
        backends = _backends(metafunc.config)
        metafunc.parametrize("backend", backends.values(), ids=backends, scope="session")


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["libraries"] = libraries()


@pytest.fixture
def keep_ratio(request):
    """Keeps a ratio, and the noise of its products' times, for the summary."""
    return lambda ratio, noise: request.config.stash[_RATIOS].append((request.node.name, ratio, noise))


def pytest_terminal_summary(terminalreporter, config):
    ratios = config.stash[_RATIOS]
    if ratios:
        terminalreporter.section("time / time of the matrix products alone: median of the rounds [95% interval]")
        width = max(len(name) for name, *_ in ratios)
        for name, ratio, noise in ratios:
            busy = "  the machine was busy: repeat" if noise > 0.1 else ""
            terminalreporter.line(f"{name:{width}}  {ratio}  {ratio.n_rounds} rounds, noise {noise:.0%}{busy}")
