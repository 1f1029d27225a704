"""Programs on NVIDIA GPUs.

``lowering`` rewrites a program, ``source`` turns its plan into CUDA C, ``launches`` and ``cublaslt`` run it, ``replay``
finds the level at which it runs, and ``gpu_steps`` runs training steps. Only ``launches``,
``graph``, ``replay``, ``staging``, ``bound_step`` and ``gpu_steps`` import CuPy.
"""
