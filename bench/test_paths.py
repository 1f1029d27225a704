"""Each case of the set: xpnet, its limit and its peers, timed in paired rounds."""


def test_case(case, run, request):
    """Every contender is built, computes what the others compute, and is timed."""
    result = run.measure(case, request)
    assert not result["failed"], "\n".join(f"{name}: {error}" for name, error in result["failed"].items())
