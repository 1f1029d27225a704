"""Programs on NVIDIA GPUs.

``lowering`` rewrites a program, ``source`` turns its plan into CUDA C, ``launches`` and ``cublaslt`` run it, ``replay``
finds the level at which it runs, and ``gpu_steps`` makes training steps of it. The last three import CuPy.
"""
