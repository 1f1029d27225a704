"""The documents' networks in their notation, and the sources that are named beside the equations."""

import re
from pathlib import Path

import numpy as np
import pytest

from xpnet.equations import activations, dropout, layers, losses, optimizers
from xpnet.examples.documents import CITATIONS, DOCUMENTS, EXAMPLES

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ALL = [(name, i) for name, examples in EXAMPLES.items() for i in range(len(examples()))]


@pytest.mark.parametrize(("name", "i"), ALL)
def test_every_gradient_agrees(name, i):
    explanation = EXAMPLES[name]()[i].explanation()
    checks = [q.check for q in explanation if q.check is not None]
    assert len(checks) >= 4
    assert {check.verdict for check in checks} == {"agrees"}
    assert max(check.error for check in checks) < 1e-10
    assert explanation["J new"].value < explanation["J"].value
    assert sum(q.symbol is not None for q in explanation) >= 10


def test_the_exercise_stands_beside_the_documents_numbers():
    (example,) = EXAMPLES["D4"]()
    explanation = example.explanation()
    compared = {q.name: q.is_as_printed for q in explanation if q.printed is not None}
    assert len(compared) == 15
    assert all(compared.values())
    assert explanation["W1 new"].value.round(15).tolist() == [[0.0, 1.0], [-1.0, 4.0]]
    text = explanation.text()
    assert "the document prints x_3, x_4 = 5  -3: the same" in text
    assert "15 of 15 printed results are ours" in text


def test_another_number_is_not_the_same():
    (example,) = EXAMPLES["exercise"]()
    explanation = example.explanation(learning_rate=0.2)
    assert explanation["W2 new"].is_as_printed is False
    assert explanation["dW2"].is_as_printed is True
    assert "NOT THE SAME" in explanation.text()
    assert "not the same" in explanation.html()
    with pytest.raises(KeyError, match="no quantity is called 'W7'"):
        explanation.beside("", {"W7": "w"})


def test_d0_line_by_line():
    """The document's program, with its 1/m, its L1 and L2."""
    (example,) = EXAMPLES["D0"]()
    explanation, X, Y = example.explanation(), np.asarray(example.X), np.asarray(example.Y)
    (W1, b1), (W2, b2) = ([np.asarray(a) for a in layer] for layer in example.parameters)
    m, l1, l2, alpha = len(X), 0.01, 0.1, 0.5
    Z1 = X @ W1 + b1
    A1 = 1 / (1 + np.exp(-Z1))
    Z2 = A1 @ W2 + b2
    A2 = np.exp(Z2) / np.exp(Z2).sum(axis=1, keepdims=True)
    dZ2 = A2 - Y
    dA1 = dZ2 @ W2.T
    dZ1 = dA1 * A1 * (1 - A1)
    found = {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2, "dZ2": dZ2, "dA1": dA1, "dZ1": dZ1}
    found["dW2"] = A1.T @ dZ2 / m + l1 * np.sign(W2) + l2 * W2
    found["dW1"] = X.T @ dZ1 / m + l1 * np.sign(W1) + l2 * W1
    found |= {"db2": dZ2.sum(axis=0) / m, "db1": dZ1.sum(axis=0) / m}
    parameters = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    found |= {f"{name} new": W - alpha * found[f"d{name}"] for name, W in parameters.items()}
    for name, theirs in found.items():
        np.testing.assert_allclose(explanation[name].value, theirs, rtol=1e-13, atol=1e-15, err_msg=name)


def words(text):
    """The words, numbers and symbols that stand in the README's table of equations or in a source."""
    return set(re.findall(r"[\w∂/]+", re.sub(r"⁽.⁾", "", text).lower()))


def rows(document):
    """The README's rows of a document."""
    return " ".join(line for line in README.splitlines() if line.startswith(f"| {document} "))


def test_sources_stand_in_the_readmes_table():
    for key, said in CITATIONS.items():
        for part in said.split("; "):
            document = part[:2]
            assert document in DOCUMENTS, part
            missing = words(part) - words(rows(document)) - {"1", "m", "1/m", "a", "sum", "section"}
            assert not missing, f"{key}: {part} names {missing}, which the README's rows of {document} don't"


def test_the_documents_are_the_readmes():
    for document, title in DOCUMENTS.items():
        (line,) = [line for line in README.splitlines() if re.match(rf"\| {document} \| [^|]+ \| [^|]+ \|$", line)]
        assert all(word in line for word in re.findall(r"\w{3,}", title))


def test_every_step_of_a_documents_network_is_cited():
    (example,) = EXAMPLES["D0"]()
    explanation = example.explanation()
    for name in ("Z1", "dA1", "dW1", "sum dW1", "db2", "dZ1", "c", "J", "penalty"):
        (key,) = re.findall("[a-z]*[A-Z]|db|c|penalty", name.removeprefix("sum "))
        assert explanation[name].source == CITATIONS[key], name
    assert explanation["A1"].source == activations.Sigmoid.source  # a class says itself where it comes from
    assert explanation.references[4] == f"D4: {DOCUMENTS['D4']}"
    for shown in (explanation.text(), explanation.markdown(), explanation.html()):
        assert DOCUMENTS["D2"] in shown


def test_sources_of_classes_name_documents_or_papers():
    kinds = [*map(type, activations.BY_NAME.values()), *map(type, losses.BY_NAME.values()), layers.PReLU]
    kinds += [
        dropout.Dropout,
        *(getattr(optimizers, name) for name in ("GradientDescent", "Momentum", "Adam", "AdamW")),
    ]
    without = {kind.__name__ for kind in kinds if not getattr(kind, "source", "")}
    assert without == {"Exp", "AbsoluteError", "HalfPoissonDeviance"}
    cited = {document for kind in kinds for document in re.findall(r"\bD\d\b", getattr(kind, "source", ""))}
    assert cited == set(DOCUMENTS)
