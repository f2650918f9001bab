"""The numbers of the pages are those that were measured; the README has no others."""

import json

import figures
import pytest

from pokeutils.common import env

README = (env.ROOT / "README.md").read_text("utf-8")
FIGURE = {
    "page": "README.md",
    "says": "{images:,} pictures in {minutes:.1f} minutes ± {spread:.0f}",
    "values": {"images": 35520, "minutes": 4.4, "spread": 30.5},
}


def test_the_pages_show_what_was_measured():
    known = figures.load()["figures"]
    for page in {figure["page"] for figure in known.values()}:
        text = (env.ROOT / page).read_text("utf-8")
        _, changes = figures.rewritten(text, known, page)
        assert not changes, "run: python tools/figures.py"


def test_every_number_of_the_readme_was_measured_or_chosen():
    found = figures.unaccounted(README, figures.load())
    assert not found, "say in outputs/gallery/figures.json where it comes from"


def test_a_changed_figure_is_rewritten_also_across_lines():
    text = "There, 1,000 pictures\nin 3.9 minutes ± 8, and 7 others."
    new, changes = figures.rewritten(text, {"quick": FIGURE})
    assert new == "There, 35,520 pictures\nin 4.4 minutes ± 31, and 7 others."
    assert changes == ["quick: 1,000, 3.9, 8 is 35,520, 4.4, 31"]
    assert figures.rewritten(new, {"quick": FIGURE}) == (new, [])
    known = {"figures": {"quick": FIGURE}, "chosen": []}
    assert ["7 others" in words for words in figures.unaccounted(new, known)] == [True]
    assert not figures.unaccounted(new, known | {"chosen": ["7 others"]})


@pytest.mark.parametrize("text", ["Nothing.", "1 pictures in 2 minutes ± 3 " * 2])
def test_words_that_are_not_there_once_are_an_error(text):
    with pytest.raises(ValueError, match="'quick' (0|2) times; expected once"):
        figures.rewritten(text, {"quick": FIGURE})


def test_the_table_of_results_is_that_of_its_file():
    (table,) = figures.TABLE.findall(README)
    assert "| `modern64` |" in table
    assert figures.with_results(README) == README


ROWS = """# python -m pokeutils.evaluation.compare
name,size,ground,images,kid,kid_std,kid_random,kid_random_std,kid_inception,kid_inception_std,recall_inception,coverage_inception,final
real halves,80,255,,0.0007,0.009,0.0001,0.009,0.0007,0.009,0.5,0.5,
real halves,64,255,,-0.00001,0.002,0.0001,0.0004,0.0001,0.001,0.8,0.9,
real halves,64,0,,0.0002,0.003,0.0001,0.0003,0.0002,0.002,0.5,0.5,
worse80,80,255,60480,0.5,0.01,0.02,0.001,0.4,0.01,0,0.1,1
better64,64,255,3000,0.9,0.01,0.02,0.001,,,,0.1,0
better64,64,255,60000,0.2,0.01,0.01,0.001,0.1,0.01,nan,0.25,1
better64,64,255,60000,0.3,0.01,0.03,0.001,0.2,0.01,0.04,0.35,1
shipped,64,255,161856,,,0.0066,0.001,0.07,0.005,,,0
"""


def test_results_are_finished_runs_in_order(tmp_path):
    (tmp_path / "recipes.csv").write_text(ROWS, "utf-8")
    text = "a\n<!-- results -->\nold\n<!-- end -->\nb 3\n"
    new = figures.with_results(text, tmp_path / "recipes.csv")
    assert new.splitlines()[4:-2] == [
        "| real halves |  | 0.1 ± 2.0 | 0.0 ± 4.0 | 0.1 ± 0.8 | 0.80 | 0.90 |",
        "| `shipped` | 161,856 | 70 |  | 6.6 |  |  |",
        "| `better64` | 60,000 | 100, 200 | 200, 300 | 10.0, 30.0 | 0.04 (1 of 2) "
        "| 0.30 |",
        "| `worse80` | 60,480 | 400 | 500 | 20.0 | 0.00 | 0.10 |",
    ]
    assert figures.with_results(new, tmp_path / "recipes.csv") == new
    without = ROWS
    for value in ("0.4,0.01,0,0.1,1", "0.1,0.01,nan,0.25,1", "0.2,0.01,0.04,0.35,1"):
        without = without.replace(value, f",,{value.split(',', 2)[2]}")
    without = without.replace("255,60480,0.5", "255,60480,0.1")
    (tmp_path / "recipes.csv").write_text(without, "utf-8")
    lines = figures.with_results(text, tmp_path / "recipes.csv").splitlines()
    assert lines[6].startswith("| `worse80`") and lines[7].startswith("| `better64`")
    found = figures.unaccounted(new, {"figures": {}, "chosen": []})
    assert found == ["b 3"] or found[0].endswith("b 3")


def test_zero_has_no_sign():
    figure = {
        "says": "{half:.0f} ± {floor:.1f}",
        "values": {"half": -0.0, "floor": 0.4},
    }
    assert figures.shown(figure) == ["0", "0.4"]
    assert figures.shown(figure | {"values": {"half": -0.3, "floor": 7}}) == [
        "0",
        "7.0",
    ]


def test_a_figure_without_its_command_or_its_source_is_refused(tmp_path):
    path = tmp_path / "figures.json"
    given = {"says": "{a}", "values": {"a": 1}, "spread": "", "data": "", "machine": ""}
    path.write_text(json.dumps({"figures": {"one": given}, "chosen": []}))
    with pytest.raises(ValueError, match="one does not say its command, date"):
        figures.load(path)
    gone = {
        "says": "{a}",
        "from": "outputs/pretrained/hybrid64.json",
        "find": "(?P<a>x{9})",
    }
    path.write_text(json.dumps({"figures": {"one": gone}, "chosen": []}))
    with pytest.raises(ValueError, match="one: .*hybrid64.json has no"):
        figures.load(path)
