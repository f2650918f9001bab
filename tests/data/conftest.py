"""For the tests of the data: a folder of pictures of one's own."""

import os

import pytest
from drawings import save_disc


@pytest.fixture
def pets(tmp_path):
    """A folder of 40 pictures; returns the source's name."""
    for number in range(1, 41):
        save_disc(tmp_path / "pets" / f"{number:03d}.png", (6 * number, 90, 200, 255))
    return f"folder:{tmp_path / 'pets'}"


@pytest.fixture
def one_decoder(monkeypatch):
    """Starts one process, not one per core, where their number is not the point."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
