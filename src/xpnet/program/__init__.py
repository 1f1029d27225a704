"""A training step, or any function of arrays, recorded once, planned once and replayed: the only place for speed.

With ``XPNET_REPLAY=off`` in the environment nothing is recorded and every definition runs as it stands, on every
library; the results agree to rounding, only slower.
"""

from .functions import Replayed, definitions_as_they_stand, may_replay
from .recorder import record
from .runner import training_steps
from .steps import Steps
from .values import NotRecordable, Program

__all__ = [
    "NotRecordable",
    "Program",
    "Replayed",
    "Steps",
    "definitions_as_they_stand",
    "may_replay",
    "record",
    "training_steps",
]
