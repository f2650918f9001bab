"""The tables of comparisons that the repository shows can be read."""

import pytest

from pokeutils.common import env
from pokeutils.evaluation import scoreboard


@pytest.mark.parametrize("name", ["recipes", "sweep", "heads"])
def test_the_committed_tables_can_be_read(name, tmp_path):
    path = env.ROOT / "outputs" / "gallery" / f"{name}.csv"
    rows, command = scoreboard.read_table(path)
    assert command.startswith("python -m pokeutils.")
    assert {row["final"] for row in rows} >= {0.0, 1.0}
    scoreboard.write_table(tmp_path / "again.csv", rows, command)
    again = scoreboard.read_table(tmp_path / "again.csv")[0]
    for row, same in zip(rows, again, strict=True):
        for column, value in same.items():
            wanted = row[column]
            if column not in scoreboard.WORDS:
                wanted = pytest.approx(wanted, rel=1e-5, nan_ok=True)
            assert value == wanted, column
