"""What a case counts, and what its contenders compute."""

import itertools
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import ours
import pytest
from cases import OPTIMIZERS, PATHS, SETS, Case, elementwise_bytes, flops
from contender import Contender, Device, Times
from limit import Products, limit
from race import Races, _record, _takes_part, disagreement, in_turn
from worker import PEERS, PeerError, Remote, Worker

from xpnet import get_backend

CASE = Case((6, 5, 4, 3), 8, pass_flops=1e4)


@pytest.mark.parametrize("path", ["forward", "backward", "step", "predict", "epoch"])
def test_flops_are_those_of_the_limits_products(path):
    case, counted = replace(CASE, path=path), []

    def matmul(A, B, out):
        assert (A @ B).shape == out.shape
        counted.append(2 * A.shape[0] * A.shape[1] * B.shape[1])

    Products(case, np.asarray, matmul).one_pass()
    assert sum(counted) == case.steps * flops(case)


def test_the_limit_computes_no_gradient_of_the_input():
    assert flops(replace(CASE, path="backward")) == 2 * 8 * (6 * 5 + 2 * 5 * 4 + 2 * 4 * 3)


def test_bytes_by_hand():
    one_layer = Case((2, 3), 10)  # 30 outputs and 9 parameters
    assert elementwise_bytes(replace(one_layer, path="forward")) == 4 * 2 * 30
    assert elementwise_bytes(replace(one_layer, path="backward")) == 4 * 4 * 30
    assert elementwise_bytes(replace(one_layer, path="update")) == 4 * 3 * 9
    assert elementwise_bytes(replace(one_layer, path="update", optimizer="Adam", precision="float64")) == 8 * 7 * 9
    assert elementwise_bytes(one_layer) == 4 * (6 * 30 + 3 * 9)
    assert elementwise_bytes(replace(one_layer, path="epoch")) == 4 * (6 * 30 + 3 * 9 + 2 * 10 * 5)
    assert elementwise_bytes(replace(one_layer, path="forward", precision="bfloat16")) == 2 * 2 * 30


def test_every_case_of_a_set_has_a_name_of_its_own():
    for name, cases in SETS.items():
        assert len({(case.id, case.l2) for case in cases}) == len(cases), name
        assert all(case.steps >= 2 for case in cases), name
    assert {case.path for case in SETS["small"]} == set(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_xpnet_and_the_limit_run_each_path(path):
    case, numpy = replace(CASE, path=path), get_backend("numpy")
    contender = ours.build(case, "xpnet", "cpu")
    assert np.all(np.isfinite(contender.check()))
    assert limit(case, numpy, Device()).round(0.0).wall > 0.0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_update_alone_is_the_rule_on_a_known_gradient(optimizer):
    case = replace(CASE, path="update", optimizer=optimizer, precision="float64")
    _, first, _, second = ours.build(case, "xpnet", "cpu").check()
    size = np.linalg.norm(case.gradient()) if optimizer == "GradientDescent" else case.gradient().size ** 0.5
    a_pass = OPTIMIZERS[optimizer].learning_rate * case.steps * size  # Adam's step is the rate, where g stays the same
    assert (first, second) == pytest.approx((a_pass, 2 * a_pass), rel=1e-3)  # epsilon, beside the smallest g


def test_a_pass_has_the_cost_of_its_batches():
    case = replace(CASE, precision="float64")
    X, Y, _ = case.data()
    cost, gone = ours.build(case, "xpnet", "cpu").check()[:2]
    assert cost == pytest.approx(case.model().cost(case.theta(), X, Y), rel=1e-2)  # the parameters move a little
    assert gone > 0.0


def test_times_are_a_steps():
    device = Device(event=lambda: None, elapsed=lambda first, last: 6.0)
    contender = Contender(lambda: None, list, steps=2, device=device, passes=3)
    times = contender.round(0.0)
    assert times.device == 1.0
    assert 0.0 < times.host <= times.wall


def test_launching_ends_where_a_pass_begins_to_wait():
    waiting = ours.LaunchClock()
    steps = waiting.timed(SimpleNamespace)(epoch=lambda batch: batch)
    for _ in range(3):
        with waiting:
            assert steps.epoch(1.0) == 1.0
            time.sleep(0.01)
    assert 0.0 < waiting.read() < 0.01
    assert waiting.read() == 0.0
    of_xpnet = ours.build(CASE, "xpnet", "cpu")
    of_xpnet.passes = 3
    times = of_xpnet.round(0.0)
    assert 0.0 < times.host < times.wall


def test_disagreement_is_relative():
    assert disagreement([1e-6, 200.0], [1.01e-6, 200.0]) == pytest.approx(0.01, rel=0.02)
    assert disagreement([1.0], [1.0, 2.0]) == float("inf")
    assert disagreement([], []) == 0.0


def test_turns_go_round_within_a_process_and_between_them():
    where = {"ours": "here", "limit": "here", "torch": "torch", "fused": "torch", "jax": "jax"}
    rounds = [in_turn(where, i) for i in range(6)]
    assert rounds[:2] == [["ours", "limit", "torch", "fused", "jax"], ["fused", "torch", "jax", "limit", "ours"]]
    assert {names[0] for names in rounds} == {"ours", "fused", "jax", "limit", "torch"}
    for names in rounds:
        processes = [where[name] for name in names]
        assert sum(a != b for a, b in itertools.pairwise(processes)) == 2, "no process has two turns"


def pedantic(timed, setup, rounds):
    """As pytest-benchmark's."""
    for _ in range(rounds):
        setup()
        timed()


def test_each_contender_has_as_many_rounds():
    races = Races([get_backend("numpy")], [], rounds=7)
    for benchmark in (pedantic, lambda timed, setup, rounds: pedantic(timed, setup, 1)):  # enabled, disabled
        record = races.run(CASE, benchmark)
        assert {len(of_one) for of_one in record["by_round"]["numpy"].values()} == {7}
        assert record["ratios"]["numpy"]["limit"][-1] == 7


def test_a_contender_that_computes_something_else_is_left_out(monkeypatch):
    races = Races([get_backend("numpy")], [], rounds=2)
    honest = races.run(CASE, pedantic)
    assert set(honest["contenders"]) == {"numpy", "numpy limit"}
    assert not honest["failed"]
    monkeypatch.setattr("race.limit", lambda case, *_: ours.build(replace(case, l2=1.0), "xpnet", "cpu"))
    cheated = races.run(CASE, pedantic)
    assert set(cheated["contenders"]) == {"numpy"}
    assert "computes something else" in cheated["failed"]["numpy limit"]


def test_a_peer_without_cuda_takes_no_part_on_a_gpu(monkeypatch):
    for device, taking_part in (("cupy:0", ["jax"]), ("numpy", ["torch", "jax"])):
        races = Races([SimpleNamespace(name=device)], [], rounds=2)
        races.libraries = ["torch", "jax"]
        answers = {library: {"about": library, "has_gpu": library == "jax"} for library in races.libraries}
        monkeypatch.setattr(races, "worker", lambda library, answers=answers: SimpleNamespace(ask=answers[library].get))
        said = races.meet_peers()
        assert races.libraries == taking_part
        assert ["left out" in said[library] for library in ("torch", "jax")] == ["torch" not in taking_part, False]


def test_products_that_wait_for_their_launches_are_no_limit():
    def record(host):
        times = {"cupy": [Times(1.0, 0.1, 0.9)] * 6, "cupy limit": [Times(0.5, host, 0.5)] * 6}
        return _record(CASE, times, {}, {})

    assert record(host=0.1)["ratios"]["cupy"]["limit"][0] == 2.0
    assert record(host=0.49)["ratios"]["cupy"] == {}
    assert "cupy limit" not in record(host=0.49)["contenders"]


def test_torch_compile_comes_last():
    compiled = [case.compiled for case in SETS["large"]]
    assert compiled == sorted(compiled)
    assert any(compiled)
    batches = [case.batch for case in SETS["large"] if not case.compiled]
    small = sum(batch <= 256 for batch in batches)
    assert max(batches[:small]) <= 256


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_contenders_of_pytorch(device):
    names = PEERS["torch"]["step"]
    eager = {"torch", "torch fused"} | ({"torch graph"} if device == "cuda" else set())
    assert {name for name in names if _takes_part(name, CASE, device)} == eager
    modes = {"torch compile"} | ({"torch reduce-overhead"} if device == "cuda" else set())
    assert {name for name in names if _takes_part(name, replace(CASE, compiled=True), device)} == eager | modes


def test_a_peer_runs_in_a_process_of_its_own():
    worker = Worker("scikit-learn")
    try:
        peer = Remote(worker, "scikit-learn", CASE, "cpu")
        assert disagreement(peer.check(), ours.build(CASE, "xpnet", "cpu").check()) < 1e-3
        peer.warm_up()
        assert peer.round(0.0).wall > 0.0
        with pytest.raises(PeerError, match="KeyError"):
            worker.ask("round", "nobody", 0.0)
        assert worker.is_alive
    finally:
        worker.close()
    with pytest.raises(PeerError, match="ended"):
        worker.ask("about")
