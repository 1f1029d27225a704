"""The environment variables: when they are read, and which values are allowed."""

import numpy as np
import pytest

from xpnet import Dense, GradientDescent, Model, Sequential, epochs
from xpnet.backends.environment import VARIABLES, setting


@pytest.mark.parametrize(
    ("given", "value"), [("", ""), ("on", "on"), ("1", "on"), ("YES", "on"), ("off", "off"), ("0", "off")]
)
def test_variables_are_read_when_they_are_used(monkeypatch, given, value):
    monkeypatch.setenv("XPNET_CAPTURE", given)
    assert setting("XPNET_CAPTURE") == value
    monkeypatch.delenv("XPNET_CAPTURE")
    assert setting("XPNET_CAPTURE") == ""


@pytest.mark.parametrize("name", [name for name, allowed in VARIABLES.items() if allowed])
def test_a_value_that_is_not_allowed_is_refused(monkeypatch, name):
    monkeypatch.setenv(name, "perhaps")
    with pytest.raises(ValueError, match=f"{name} is 'perhaps'; allowed: on, off"):
        setting(name)


def test_training_refuses_what_is_misspelt_or_wrong(monkeypatch):
    model = Model(Sequential(Dense(1)))
    state = model.initial(np.random.default_rng(0), 2, GradientDescent())
    X, Y = np.ones((3, 2)), np.ones(3)
    for name, message in (("XPNET_REPLAYS", "XPNET_REPLAYS is not known; allowed: "), ("XPNET_CAPTURE", "'perhaps'")):
        with monkeypatch.context() as changed:
            changed.setenv(name, "perhaps")
            with pytest.raises(ValueError, match=message):
                next(epochs(model, state, X, Y))
            with pytest.raises(ValueError, match=message):
                model.cost(state.theta, X, Y)
