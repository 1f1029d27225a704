"""A training step, or any function of arrays, is recorded once, planned once and replayed many times.

- ``recorder`` records a function as a ``Program`` of ``values``, by a ``namespace`` of ``recorded_array``.
- ``plan`` decides what is computed when (``grouping``, ``concatenations``) and where it lies (``places``).
- ``numpy`` replays a plan; the folder ``cuda`` does so on GPUs.
- ``steps`` are the runners of training steps, by the definitions or, in ``numpy_steps`` and ``cuda``, by replays.

With ``XPNET_REPLAY=off`` in the environment nothing is recorded, and the definitions run on every library. The results
agree to rounding.
"""

from .recorded_values import NotRecordable, Program
from .recorder import record
from .replayed_functions import Replayed, definitions_as_they_stand, may_replay
from .runner import training_steps
from .steps import Steps

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
