"""The README is right: its programs run, and the lines it quotes are in the source."""

import re
from pathlib import Path

import pytest

import xpnet

ROOT = Path(__file__).parent.parent
PACKAGE = Path(xpnet.__file__).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
QUOTED = re.findall(r"^\|[^|]*\| `([^`]+)` \| `(src/[^`:]+)` \|$", README, flags=re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS, ids=[f"program{i}" for i in range(len(PROGRAMS))])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_programs_run(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the files that they write
    exec(compile(program, "README.md", "exec"), {"__name__": "readme"})


def test_there_are_programs_and_quoted_lines():
    assert len(PROGRAMS) >= 2
    assert len(QUOTED) >= 12


@pytest.mark.parametrize(("line", "file"), QUOTED)
def test_quoted_lines_stand_in_the_source(line, file):
    source = (PACKAGE / file.removeprefix("src/xpnet/")).read_text(encoding="utf-8").splitlines()
    assert line in [text.strip() for text in source]


def test_the_recorded_program_is_as_printed(capsys):
    (program,) = (text for text in PROGRAMS if "print(record(" in text)
    exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
    assert f"```\n{capsys.readouterr().out}```" in README


def test_the_two_commands_open_it():
    head = README.split("## ")[0]
    assert 'python -m pip install -e ".[cli]" && python -m xpnet train digits' in head
    assert 'python -m pip install -e ".[test]" && python -m pytest' in head
