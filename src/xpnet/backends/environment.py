"""The environment variables that xpnet reads. Each is read when it is used."""

import os

_ON, _OFF = ("on", "1", "yes", "true"), ("off", "0", "no", "false")

VARIABLES: dict[str, tuple[str, ...] | None] = {
    "XPNET_BACKEND": None,
    "XPNET_REPLAY": ("on", "off"),
    "XPNET_CAPTURE": ("on", "off", "require"),
    "XPNET_EPILOGUES": ("on", "off"),
}
"""The allowed values of each variable; None if they are checked elsewhere.

- ``XPNET_BACKEND``: the backend if nothing else chooses one, see :func:`xpnet.get_backend`.
- ``XPNET_REPLAY``: "off" records and replays nothing: the equations run directly, on every library.
- ``XPNET_CAPTURE``: "off" makes no CUDA graphs; "require" makes it an error if one of them fails.
- ``XPNET_EPILOGUES``: "on" lets products on a GPU add biases and take ReLUs.
"""


def setting(name: str) -> str:
    """The value of one of ``VARIABLES``, in lower case; empty if it is not set.

    Raises
    ------
    ValueError
        Its value is not allowed.
    """
    value = os.environ.get(name, "").lower()
    allowed = VARIABLES[name]
    if allowed is None or not value:
        return value
    value = "on" if value in _ON else "off" if value in _OFF else value
    if value not in allowed:
        raise ValueError(f"the environment variable {name} is {os.environ[name]!r}; allowed: {', '.join(allowed)}")
    return value


def check_environment() -> None:
    """Raise a ValueError if a variable that begins with ``XPNET_`` is not in ``VARIABLES``, or has a wrong value.

    It is called once for each training, as reading all names takes as long as a small product.
    """
    for name in VARIABLES:
        setting(name)
    for name in os.environ:
        if name.startswith("XPNET_") and name not in VARIABLES:
            raise ValueError(f"the environment variable {name} is not known; allowed: {', '.join(VARIABLES)}")
