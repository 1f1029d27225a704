"""A training step, or any function of arrays, is recorded once, planned once and replayed many times.

- ``recorder`` records a function as a ``Program`` (``recorded_values``): it calls the function with arrays without
  numbers (``recorded_array``), whose ``namespace`` writes down each operation.
- ``plan`` decides when each value is computed (``grouping``, ``concatenations``) and where it lies (``memory_plan``).
- ``numpy`` replays a plan on NumPy, ``cuda`` on GPUs.
- ``steps`` defines runners of training steps: ``Definitions`` calls the step's definition, the runners in
  ``numpy_steps`` and ``cuda`` replay it. ``runner`` chooses one.

With ``XPNET_REPLAY=off`` in the environment nothing is recorded, and the definitions run on every library. The results
agree up to rounding.
"""

from .recorded_values import NotRecordable, Program
from .recorder import record
from .replayed_functions import Replayed, may_replay, without_replays
from .runner import training_steps
from .steps import Steps

__all__ = [
    "NotRecordable",
    "Program",
    "Replayed",
    "Steps",
    "without_replays",
    "may_replay",
    "record",
    "training_steps",
]
