"""The environment variables that xpnet reads. Each is read when it is used."""

import os

_YES, _NO = ("on", "1", "yes", "true"), ("off", "0", "no", "false")

VARIABLES: dict[str, tuple[str, ...] | None] = {
    "XPNET_BACKEND": None,
    "XPNET_REPLAY": ("on", "off"),
    "XPNET_CAPTURE": ("on", "off", "require"),
    "XPNET_EPILOGUES": ("on", "off"),
}
"""The allowed values of each variable; None if they are checked elsewhere.

- ``XPNET_BACKEND``: what computes if nothing else says so, see :func:`xpnet.get_backend`.
- ``XPNET_REPLAY``: "off" runs the equations as they stand, on every library; nothing is recorded.
- ``XPNET_CAPTURE``: "off" makes no CUDA graphs; "require" makes it an error if one fails.
- ``XPNET_EPILOGUES``: "on" lets products on a GPU add biases and take ReLUs.
"""


def setting(name: str) -> str:
    """The value of one of ``VARIABLES``, in lower case; "default" if it is not set.

    Raises
    ------
    ValueError
        Its value is not allowed.
    """
    value = os.environ.get(name, "").lower() or "default"
    allowed = VARIABLES[name]
    if allowed is None or value == "default":
        return value
    value = "on" if value in _YES else "off" if value in _NO else value
    if value not in allowed:
        raise ValueError(f"the environment variable {name} is {os.environ[name]!r}; allowed: {', '.join(allowed)}")
    return value


def refuse_unknown_variables() -> None:
    """Raise a ValueError if the environment has a name that begins with ``XPNET_`` and is not known.

    This is called once for each training: reading all names takes as long as a small product.
    """
    for name in os.environ:
        if name.startswith("XPNET_") and name not in VARIABLES:
            raise ValueError(f"the environment variable {name} is not known; allowed: {', '.join(VARIABLES)}")
