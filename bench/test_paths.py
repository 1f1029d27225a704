"""Each case of the set: xpnet beside its limit and its peers, in paired rounds."""


def test_case(case, run):
    """Every contender is built, computes what the others compute, and is timed."""
    result = run.measure(case)
    assert not result["failed"], "\n".join(f"{name}: {error}" for name, error in result["failed"].items())
