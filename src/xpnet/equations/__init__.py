"""Floors 1 and 2: the mathematics, each line once. Nothing here knows an array library: ``xp`` is whoever computes.

Rows are samples; ``Z = X W + b`` with X (m, n_in), W (n_in, n_out), b (n_out,); a gradient carries a ``d``. D0 to
D4 are the documents that the README's table names.
"""
