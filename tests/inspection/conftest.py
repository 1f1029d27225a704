"""A browser for the tests of what people look at."""

import shutil
import subprocess
from pathlib import Path

import pytest

_NAMES = "chromium", "chromium-browser", "google-chrome"
_QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)


@pytest.fixture
def browse(tmp_path):
    """``browse(page, *flags)``: what Chromium prints once it has loaded the page, with a new profile each time."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is installed")

    def run(page: str, *flags: str) -> str:
        file = Path(tmp_path, "page.html")
        file.write_text(page, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [program, *_QUIET.split(), profile, *flags, file.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    return run
