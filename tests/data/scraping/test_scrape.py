"""A scrape asks only when told to, stops at a refusal, goes on another day; a local
server plays the site."""

import functools
import json
import re
import signal
import subprocess
import sys
import threading

import pytest
from fake_site import Reply, png
from test_sites import SEREBII_INDEX, serebii_page

from pokeutils.common import env, files
from pokeutils.data import dataset, sources
from pokeutils.data.scraping import polite, scrape, sites


@pytest.fixture
def serebii(site, monkeypatch):
    """The fake site as serebii.net: four species, six forms, one shiny form absent."""
    here(site, "serebii", monkeypatch)
    gigantamax = ["003", "003-gi"], ["Regular Form", "Gigantamax"]
    alola = ["037", "037-a"], ["Regular Form", "Alola Form"]
    site.replies = {
        "/robots.txt": b"User-agent: *\nDisallow: /hidden/ranch/\n",
        "/pokedex-swsh/": SEREBII_INDEX,
        "/pokedex-swsh/venusaur/": serebii_page("003", "Venusaur", *gigantamax),
        "/pokedex-swsh/vulpix/": serebii_page("037", "Vulpix", *alola),
        "/pokedex-swsh/mr.mime/": serebii_page("122", "Mr. Mime"),
        "/pokedex-swsh/sirfetch%27d/": serebii_page("865", "Sirfetch'd"),
    }
    for key in ("003", "003-gi", "037", "037-a", "122", "865"):
        for folder in ("swordshield/pokemon", "Shiny/SWSH"):
            site.replies[f"/{folder}/{key}.png"] = png(len(site.replies))
    del site.replies["/Shiny/SWSH/003-gi.png"]
    return site


def here(site, name, monkeypatch):
    """Point a scraper to the fake site; the second host is its other name."""
    origins = (site.url, site.images_url)[: len(sites.SITES[name].origins)]
    monkeypatch.setitem(sites.SITES, name, sites.SITES[name]._replace(origins=origins))


def run(name, tmp_path, lines=None, **options):
    say = [].append if lines is None else lines.append
    return scrape.fetch(
        name, agree=True, raw_dir=tmp_path / "raw", progress=say, **options
    )


def listed(raw):
    return {row["file"] for row in sources.manifest(raw)}


def pictures(raw):
    """{path relative to the raw folder: bytes} of all that is no bookkeeping."""
    return {
        path.relative_to(raw).as_posix(): path.read_bytes()
        for path in raw.rglob("*")
        if path.suffix in (".png", ".jpg")
    }


@pytest.mark.parametrize("name", sites.SITES)
@pytest.mark.parametrize("agree", [False, None, 1, "yes"])
def test_nothing_is_asked_without_an_explicit_yes(name, agree, site, tmp_path):
    with pytest.raises(ValueError) as caught:
        scrape.fetch(name, agree=agree, raw_dir=tmp_path / "raw")
    message = str(caught.value)
    assert message == scrape.notice(name)
    for part in (sites.SITES[name].terms, "agree=True", "Otherwise nothing is fetched"):
        assert part in message
    assert not site.asked and not (tmp_path / "raw").exists()


def test_an_unknown_site_or_limit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected one of pokedex, serebii"):
        scrape.fetch("pokemon", agree=True)
    with pytest.raises(ValueError, match="limit is 0"):
        run("serebii", tmp_path, limit=0)


@pytest.mark.parametrize("name", sites.SITES)
def test_an_unscraped_source_says_how(name, tmp_path):
    for load in (sources.fetch, lambda n, d: dataset.load(n, 64, d)):
        with pytest.raises(sources.SourceUnavailable, match="agree=True.*artwork"):
            load(name, tmp_path)
    assert tuple(sites.SITES) == sources.SCRAPED


def test_nothing_in_the_project_agrees_for_its_user():
    paths = [*env.ROOT.glob("pokeutils/**/*.py"), *env.ROOT.glob("tools/*.py")]
    code = [path.read_text("utf-8") for path in [*paths, env.ROOT / "Makefile"]]
    for path in env.ROOT.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code += ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    calls = [re.findall(r"^\s*(?:\w+ = )?scrape\.fetch\([^)]*", c, re.M) for c in code]
    agreed = {call.strip() for call in sum(calls, []) if "agree=True" in call}
    assert agreed <= {"scrape.fetch(SCRAPE, agree=True"}  # if a reader names a site
    assert any('SCRAPE = ""' in text for text in code)


def test_serebii_brings_all_forms_in_both_colours(serebii, tmp_path, monkeypatch):
    monkeypatch.setattr(scrape, "REPORT_SECONDS", -1)
    lines = []
    raw = run("serebii", tmp_path, lines)
    rows = sources.manifest(raw)
    assert tuple(rows[0]) == sources.COLUMNS
    names = ("file", "species_id", "slug", "form", "shiny")
    table = {tuple(row[name] for name in names) for row in rows}
    assert len(table) == len(rows) and table == {
        ("regular/003.png", "3", "venusaur", "", "0"),
        ("regular/003-gi.png", "3", "venusaur", "gigantamax", "0"),
        ("regular/037.png", "37", "vulpix", "", "0"),
        ("regular/037-a.png", "37", "vulpix", "alola", "0"),
        ("regular/122.png", "122", "mr.mime", "", "0"),
        ("regular/865.png", "865", "sirfetch'd", "", "0"),
        ("shiny/003.png", "3", "venusaur", "", "1"),
        ("shiny/037.png", "37", "vulpix", "", "1"),
        ("shiny/037-a.png", "37", "vulpix", "alola", "1"),
        ("shiny/122.png", "122", "mr.mime", "", "1"),
        ("shiny/865.png", "865", "sirfetch'd", "", "1"),
    }
    for row in rows:
        assert files.sha256(raw / row["file"]) == row["sha256"]
        path = row["url_or_package"].removeprefix(serebii.url)
        assert serebii.replies[path] == (raw / row["file"]).read_bytes()
    about, absent = sources.about(raw), f"{serebii.url}/Shiny/SWSH/003-gi.png"
    assert about["left_out"] == [f"{absent}: HTTP status 404"]
    assert about["dropped"] == [] and about["files"] == 11
    assert set(serebii.asked.values()) == {1}
    assert "4 species, 0 pictures, about" in lines[0]
    assert "11 pictures of 4 species; 1 absent" in lines[-1]
    estimates = [line for line in lines if "left" in line]
    assert estimates[-1] == "serebii: 4 of 4 species, 11 pictures, about 0 min left"
    begins = [line.split(" of ")[0] for line in estimates]
    assert begins == [f"serebii: {n}" for n in range(5)]


def test_a_limit_can_be_raised_and_the_prepared_set_follows(serebii, tmp_path):
    run("serebii", tmp_path, limit=1)
    ready = dataset.load("serebii", 64, tmp_path, progress=[].append)
    assert len(ready.images) == 3
    raw = run("serebii", tmp_path)
    assert set(serebii.asked.values()) == {1, 2} and serebii.asked["/robots.txt"] == 2
    assert max(n for path, n in serebii.asked.items() if path != "/robots.txt") == 1
    assert run("serebii", tmp_path, limit=2) == raw
    assert len(sources.manifest(raw)) == 11
    ready = dataset.load("serebii", 64, tmp_path, progress=[].append)
    assert ready.images.shape == (11, 64, 64, 4)
    dataset.check_range(ready.images)
    assert set(ready.meta["name"]) == {"Venusaur", "Vulpix", "Mr Mime", "Sirfetchd"}
    assert ready.meta["shiny"].sum() == 5 and "fire" in ready.meta["type1"]
    assert ready.report["from"] == serebii.url


def test_a_second_call_asks_for_nothing_but_damaged_pictures(serebii, tmp_path):
    raw = run("serebii", tmp_path)
    inode = (raw / "manifest.csv").stat().st_ino
    serebii.asked.clear()
    assert run("serebii", tmp_path) == sources.fetch("serebii", tmp_path / "raw") == raw
    assert not serebii.asked and (raw / "manifest.csv").stat().st_ino == inode
    (raw / "shiny" / "037.png").write_bytes(b"damaged")
    with pytest.raises(sources.SourceUnavailable, match="not completely"):
        sources.fetch("serebii", tmp_path / "raw")
    run("serebii", tmp_path)
    assert dict(serebii.asked) == {"/robots.txt": 1, "/Shiny/SWSH/037.png": 1}
    assert sources.fetch("serebii", tmp_path / "raw") == raw


REFUSALS = {
    "wall": Reply(b"<title>Pardon Our Interruption</title>"),  # with HTTP status 200
    "403": Reply(b"Forbidden", 403),
    "429": Reply(b"", 429),
}
KEPT_BEFORE = {"/robots.txt": 0, "/pokedex-swsh/vulpix/": 3, "/Shiny/SWSH/037.png": 5}
CASES = [(kind, path) for kind in REFUSALS for path in KEPT_BEFORE]
CASES.remove(("403", "/robots.txt"))  # means that there are no rules (RFC 9309)


@pytest.mark.parametrize("kind, path", CASES)
def test_a_refusal_ends_the_run_and_a_later_one_goes_on(serebii, tmp_path, path, kind):
    good, serebii.replies[path] = serebii.replies[path], REFUSALS[kind]
    with pytest.raises(polite.Blocked, match="serebii: .*kept in .*goes on from there"):
        run("serebii", tmp_path)
    assert serebii.asked[path] == (polite.ATTEMPTS if kind == "429" else 1)
    kept, asked = pictures(tmp_path / "raw" / "serebii"), set(serebii.asked)
    assert len(kept) == KEPT_BEFORE[path]
    with pytest.raises(sources.SourceUnavailable, match="not completely"):
        sources.fetch("serebii", tmp_path / "raw")
    serebii.replies[path] = good
    serebii.asked.clear()
    raw = run("serebii", tmp_path)
    assert len(sources.manifest(raw)) == 11
    assert max(serebii.asked.values()) == 1
    assert asked & set(serebii.asked) == {"/robots.txt", path}
    assert kept.items() <= pictures(raw).items()


def test_faults_of_single_pictures_cost_only_these(serebii, tmp_path):
    regular, shiny = "/swordshield/pokemon/037.png", "/Shiny/SWSH/037.png"
    flaky = "/swordshield/pokemon/122.png"
    faults = {
        regular: png()[:150],
        shiny: Reply(b"", 302, {"Location": "http://example.org/037.png"}),
        flaky: [Reply(b"", 500), Reply(b"", 503), png()],
    }
    good = {path: serebii.replies[path] for path in faults}
    serebii.replies |= faults
    raw = run("serebii", tmp_path)
    dropped = {d["file"]: d["reason"] for d in sources.about(raw)["dropped"]}
    assert list(dropped) == [serebii.url + regular, serebii.url + shiny]
    assert "broken picture" in dropped[serebii.url + regular]
    assert "leads away from" in dropped[serebii.url + shiny]
    assert listed(raw) == set(pictures(raw)) and len(listed(raw)) == 9
    serebii.replies |= good  # another day
    serebii.asked.clear()
    assert len(sources.manifest(run("serebii", tmp_path))) == 11
    assert set(serebii.asked) == {regular, shiny, "/robots.txt"}
    assert sources.about(raw)["dropped"] == []


@pytest.mark.parametrize(
    "start, body, reason, asked",
    [
        ("/swordshield", Reply(b"", 503), "brings no picture.*503.*down", 6),
        ("/pokedex-swsh/", b"<p>a new layout</p>", "no pictures where they used", 4),
    ],
)
def test_a_site_that_is_down_or_new_is_left(
    serebii, tmp_path, monkeypatch, start, body, reason, asked
):
    for path in serebii.replies:
        if path.startswith((start, "/Shiny")) and path != "/pokedex-swsh/":
            serebii.replies[path] = body
    monkeypatch.setattr(scrape, "PATIENCE", 2 if start == "/pokedex-swsh/" else 12)
    with pytest.raises(sources.SourceUnavailable, match=reason):
        run("serebii", tmp_path)
    assert len(serebii.asked) == asked


@pytest.mark.parametrize("limit, value", [("MOST_HOURS", -1), ("MOST_BYTES", 300)])
def test_a_visit_has_an_end(serebii, tmp_path, monkeypatch, limit, value):
    with monkeypatch.context() as patch:
        patch.setattr(scrape, limit, value)
        with pytest.raises(sources.SourceUnavailable, match="enough for one visit.*on"):
            run("serebii", tmp_path)
    assert len(pictures(tmp_path / "raw" / "serebii")) < 4
    assert len(sources.manifest(run("serebii", tmp_path))) == 11


def test_the_time_left_is_that_of_the_waits_to_come(serebii, tmp_path, monkeypatch):
    run("serebii", tmp_path, limit=1)
    serebii.replies["/robots.txt"] += b"Crawl-delay: 40"
    lines, patient = [], functools.partial(polite.Visitor, sleep=[].append)
    monkeypatch.setattr(polite, "Visitor", patient)
    run("serebii", tmp_path, lines)
    assert lines[0].endswith("0 of 4 species, 3 pictures, about 6 min left")


def test_a_forbidden_index_stops_the_run(serebii, tmp_path):
    serebii.replies["/robots.txt"] = b"User-agent: *\nDisallow: /pokedex-swsh\n"
    with pytest.raises(sources.SourceUnavailable, match="no list.*robots.txt forbids"):
        run("serebii", tmp_path)
    assert list(serebii.asked) == ["/robots.txt"]


@pytest.mark.parametrize("name", sites.SITES)
@pytest.mark.parametrize(
    "body", [b"<html>all is new</html>", b"[]", b'{"a": 1}', b"[1]", b"[" * 100_000]
)
def test_a_list_of_another_shape_is_told(site, monkeypatch, tmp_path, name, body):
    here(site, name, monkeypatch)
    for path in ("/us/api/pokedex/kalos", "/pokedex-swsh/"):
        site.replies[path] = body
    with pytest.raises(sources.SourceUnavailable, match="the site has changed"):
        run(name, tmp_path)


def test_misses_here_and_there_do_not_end_it(serebii, tmp_path, monkeypatch):
    monkeypatch.setattr(scrape, "PATIENCE", 2)
    for path in ("/swordshield/pokemon/037-a.png", "/Shiny/SWSH/865.png"):
        serebii.replies[path] = b"<p>no picture</p>"
    serebii.replies["/pokedex-swsh/mr.mime/"] = b"<![nothing that can be read]>"
    about = sources.about(run("serebii", tmp_path))
    assert about["files"] == 7 and len(about["dropped"]) == 3


SCRIPT = """
import sys
from pokeutils.data.scraping import polite, scrape, sites
url, raw = sys.argv[1:]
polite.DELAY = 0
sites.SITES["serebii"] = sites.SITES["serebii"]._replace(origins=(url,))
scrape.fetch("serebii", agree=True, raw_dir=raw)
"""


def test_a_killed_run_kept_others_out_and_goes_on(serebii, tmp_path):
    raw = tmp_path / "raw" / "serebii"
    reached, opened = threading.Event(), threading.Event()
    halfway = "/Shiny/SWSH/037.png"
    serebii.gates[halfway] = reached, opened
    command = [sys.executable, "-c", SCRIPT, serebii.url, str(raw.parent)]
    process = subprocess.Popen(command, cwd=env.ROOT, stdout=subprocess.DEVNULL)
    try:
        assert reached.wait(30), "the run has not come this far"
        with pytest.raises(RuntimeError, match="in use by process"):
            run("serebii", tmp_path)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()
        opened.set()
    before, asked = pictures(raw), set(serebii.asked)
    assert len(before) == 5 and not (raw / "manifest.csv").exists()
    # What a kill at other moments leaves: half a picture, half a line.
    (raw / "shiny" / ".037.0123abcd.tmp.png").write_bytes(png()[:99])
    with open(raw / "journal.jsonl", "a") as journal:
        journal.write('\n[1]\n"?"\n{"url": "http://127.0.0.1/half')
    journal = raw / "journal.jsonl"  # and a power cut
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\0" * 999 + b"\n"))
    serebii.gates.clear()
    serebii.asked.clear()
    run("serebii", tmp_path)
    again = asked & set(serebii.asked)
    assert again == {"/robots.txt", halfway}, "the answer on its way, and the rules"
    assert max(serebii.asked.values()) == 1
    after = pictures(raw)
    assert before.items() <= after.items() and set(after) == listed(raw)
    assert len(after) == 11
