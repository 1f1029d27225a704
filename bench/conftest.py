"""The command-line options, the record of the run, which is written after each case, and the table at the end."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # these modules are not an installed package

from cases import ROUNDS, SETS
from machine import machine
from paired import geometric_mean
from race import Races
from report import summary
from tables import OURS
from worker import PEERS

from xpnet import BackendUnavailableError, get_backend

_CHOSEN, _RUN = pytest.StashKey[tuple](), pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--set", choices=SETS, default="small", dest="case_set", help="which cases; see bench/cases.py")
    parser.addoption(
        "--backend",
        default="numpy",
        metavar="NAME[,NAME]",
        help='where xpnet runs: "numpy", "cupy" or "numpy,cupy"; the peers run on the last one',
    )
    parser.addoption("--peers", default=",".join(PEERS), metavar="NAME[,NAME]", help='"" for none; those installed run')
    parser.addoption("--rounds", type=int, help=f"by default {ROUNDS}; an interval needs 6")
    parser.addoption("--budget", type=float, default=float("inf"), metavar="SECONDS", help="then no new case begins")
    parser.addoption("--json", type=Path, metavar="FILE", help="the record, for  python bench/report.py FILE")


def pytest_configure(config):
    """Check the options before the run begins."""
    try:
        backends = [get_backend(name) for name in config.getoption("--backend").split(",")]
    except (BackendUnavailableError, ValueError) as error:
        raise pytest.UsageError(f"--backend: {error}") from error
    if any(backend.name.startswith("cupy") for backend in backends):
        os.environ.setdefault("XPNET_CAPTURE", "require")  # a step that can't be captured is an error, not a result
    peers = [name for name in config.getoption("--peers").split(",") if name]
    if unknown := set(peers) - set(PEERS):
        raise pytest.UsageError(f"--peers: {', '.join(sorted(unknown))}; allowed: {', '.join(PEERS)}")
    config.stash[_CHOSEN] = backends, peers


class Run:
    """The races of this run and their results so far; the record is replaced as a whole after each race."""

    def __init__(self, config, cases):
        backends, peers = config.stash[_CHOSEN]
        case_set = config.getoption("case_set")
        self.races = Races(backends, peers, config.getoption("--rounds") or ROUNDS[case_set])
        self.path, self.by_round = config.getoption("--json"), []
        self.ends = time.monotonic() + config.getoption("--budget")
        self.record = {"set": case_set, "rounds": self.races.rounds, **machine(backends)}
        self.record |= {"peers": self.races.meet_peers(), "means": {}, "results": [], "missing": [c.id for c in cases]}
        self._write()

    def measure(self, case, request):
        """Run a race, and write its result to the record."""
        if time.monotonic() > self.ends:
            pytest.skip("left out: the seconds of --budget are over")
        result = self.races.run(case, lambda *own, **how: request.getfixturevalue("benchmark").pedantic(*own, **how))
        self.record["missing"].remove(case.id)
        if result is not None:
            self.by_round.append((case, result.pop("by_round")))
            self.record["results"].append(result)
            self.record["means"] = self._means()
        self._write()
        if result is None:
            pytest.skip("left out: not for these backends and peers")
        return result

    def _write(self):
        if self.path:
            begun = self.path.with_name(f"{self.path.name}.begun")
            begun.write_text(json.dumps(self.record, indent=1) + "\n")
            begun.replace(self.path)

    def _means(self):
        """xpnet / peer over the cases of the claim: the geometric mean, its interval, and the number of cases."""
        means = {}
        for backend in OURS:
            claimed = [ratios[backend] for case, ratios in self.by_round if case.claim and backend in ratios]
            for label in dict.fromkeys(label for ratios in claimed for label in ratios):
                of_label = [ratios[label] for ratios in claimed if label in ratios]
                means.setdefault(backend, {})[label] = [*geometric_mean(of_label)[:3], len(of_label)]
        return means


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        cases = SETS[metafunc.config.getoption("case_set")]
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.fixture(scope="session")
def run(request):
    """The one run of all collected cases."""
    here = Path(__file__).parent
    cases = [item.callspec.params["case"] for item in request.session.items if item.path.parent == here]
    run = request.config.stash[_RUN] = Run(request.config, cases)
    yield run
    run.races.close()


def pytest_terminal_summary(terminalreporter, config):
    run = config.stash.get(_RUN, None)
    if run is not None and run.record["results"]:
        terminalreporter.section("time / time of the others: median of the rounds [95% interval]")
        terminalreporter.line(summary(run.record))
