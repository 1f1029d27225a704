"""Equations as they are printed, worked out in NumPy: ``from equation_text import worked_out``."""

import re

import numpy as np

FUNCTIONS = {
    "e": np.e,
    "abs": np.abs,
    "log": np.log,
    "max": np.maximum,
    "min": np.minimum,
    "rows": lambda A: np.sum(A, axis=-1, keepdims=True),
    "columns": lambda A: np.sum(A, axis=0),
    "sign": np.sign,
    "sqrt": np.sqrt,
    "where": np.where,
}


def worked_out(equation, **known):
    """The value of an equation's right-hand side for the symbols in ``known``, up to the first ", symbol = "."""
    right = re.sub(r", \w+ = .*$", "", equation.split(" = ", 1)[-1])
    return eval(as_python(right), dict(FUNCTIONS), known)


def as_python(text):
    """Sums, cases, powers, products of factors side by side, |x| and log x, as Python."""
    found = re.search(r"sum_([ijk]) ", text)
    if found:
        start = end = found.end()
        depth = 0
        while end < len(text) and (depth or text[end] != ")"):
            depth += (text[end] in "([") - (text[end] in ")]")
            end += 1
        over = "columns" if found[1] == "i" else "rows"
        text = f"{text[: found.start()]}{over}({cases(text[start:end])}){text[end:]}"
        return as_python(text)
    text = re.sub(r"\(([^()]* if [^()]*)\)", lambda found: f"({cases(found[1])})", text)
    text = cases(text).replace("[", "(").replace("]", ")").replace("^", "**")
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    text = re.sub(r"_[ijk]\b", "", text)
    text = re.sub(r"log (\w+)", r"log(\1)", text)
    text = re.sub(r"(?<=\d)(?=[a-z])", " ", text)
    return re.sub(r"(?<=[\w)]) (?=[A-Za-z\d(])", " * ", text)


def cases(text):
    """ "x if c, y if d, else z" as where(c, x, where(d, y, z)), for a text that has cases of its own."""
    if not re.search(r"^[^()]* if .*, else ", text):
        return text
    first, _, last = text.rpartition(", else ")
    for case in reversed(first.split(", ")):
        value, _, condition = case.partition(" if ")
        last = f"where({condition}, {value}, {last})"
    return last
