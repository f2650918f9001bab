"""Scrapers for two web sites, filling the same raw folders as any other source.

They run only when a person calls `fetch` and agrees to what `notice` says: nothing else
in the project calls it. An interrupted run goes on where it stopped.
"""

import contextlib
import json
import pathlib
import time

from pokeutils.common import env, files
from pokeutils.data import sources
from pokeutils.data.download import SourceUnavailable
from pokeutils.data.scraping import polite, sites

REPORT_SECONDS = 30  # between two lines of progress
MOST_HOURS, MOST_BYTES = 12, 2**31  # of one visit: ten times what all have
PATIENCE = 12  # addresses in a row that bring no picture; one without an answer is 4
# What comes of a list or a journal of another shape.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def notice(name):
    """Returns what a person should know before scraping a site, as one paragraph.
    Raises ValueError for a name that is not in sites.SITES."""
    if name not in sites.SITES:
        known = ", ".join(sites.SITES)
        raise ValueError(f"unknown site {name!r}; expected one of {known}.")
    site = sites.SITES[name]
    return (
        f"{name!r} means scraping {site.origins[0]}, which only you can decide on. "
        f"{site.terms} The pictures are the owners' in any case (see NOTICE). If you "
        f"agree, scrape.fetch({name!r}, agree=True) asks for one page or picture every "
        f"{polite.DELAY:.0f} s, for one to two hours in all; it gives its name, "
        "obeys robots.txt, keeps everything on this machine, and stops when the site "
        "refuses or puts up a challenge page. Otherwise nothing is fetched; 'artwork' "
        "and 'sprites' need no scraping."
    )


def fetch(name, agree=False, limit=None, contact="", raw_dir=None, progress=print):
    """Returns the raw folder of a scraped site, asking the site for what is missing.
    `limit` takes the first so many species only; more can follow. `contact`, a mail or
    web address, is told to the site. What was kept or is known to be absent is not
    asked for again: delete the folder to start anew. Raises ValueError with the notice
    unless `agree` is True, SourceUnavailable when the site cannot or does not want to
    be asked, RuntimeError when another process is at work in the folder."""
    text = notice(name)
    if agree is not True:
        raise ValueError(text)
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected None, or 1 and more species.")
    raw_dir = pathlib.Path(raw_dir) if raw_dir else env.data_dir() / "raw"
    raw, site = raw_dir / name, sites.SITES[name]
    with contextlib.suppress(SourceUnavailable):
        about = sources.about(sources.fetch(name, raw_dir, progress))
        enough = about["limit"] is None or (limit and limit <= about["limit"])
        if enough and not about["dropped"]:
            return raw

    raw.mkdir(parents=True, exist_ok=True)
    # Two runs at once would ask twice as often as either promises.
    with (
        files.lock(raw / ".lock", progress),
        contextlib.closing(_Journal(raw)) as journal,
        polite.Visitor(site.origins, contact, progress) as visitor,
    ):
        try:
            _Run(name, site, raw, journal, visitor, progress).go(limit)
        except SourceUnavailable as error:
            raise type(error)(
                f"{name}: {error} {journal.kept()} pictures are kept in {raw}; the "
                "same call goes on from there, today or another day."
            ) from None
    return raw


class _Run:
    """One visit to a site: its list of species, their pages, the pictures on these."""

    def __init__(self, name, site, raw, journal, visitor, progress):
        self.name, self.site, self.raw, self.journal = name, site, raw, journal
        self.visitor, self.progress = visitor, progress
        self.patience, self.failed = PATIENCE, {}
        self.began = self.last_report = time.monotonic()
        self.bytes = 0  # of the pictures that came

    def go(self, limit):
        """Fetches what is missing, then writes manifest.csv and source.json."""
        rows, every = [], self.species()[:limit]
        self.report(0, every)
        for done, species in enumerate(every, 1):
            for picture in self.pictures(species):
                file = self.file(picture["url"], self.raw / picture["file"])
                if file:
                    row = {key: picture[key] for key in ("species_id", "slug", "form")}
                    row |= {"file": file, "shiny": int(picture["shiny"])}
                    rows.append({**row, "url_or_package": picture["url"]})
            if time.monotonic() - self.last_report > REPORT_SECONDS:
                self.report(done, every)
        if not rows:
            raise SourceUnavailable("no picture at all was found.")

        sources.write_manifest(self.raw, rows)
        missing = {url: entry.get("missing") for url, entry in self.journal.items()}
        story = {
            "source": self.name,
            "files": len(rows),
            "listing": files.sha256(self.raw / "manifest.csv"),
            "from": self.site.origins[0],
            "verified": "every file was decoded when it came",
            "limit": limit,
            "left_out": [f"{url}: {why}" for url, why in missing.items() if why],
            "dropped": [{"file": u, "reason": r} for u, r in self.failed.items()],
        }
        files.write_json(self.raw / "source.json", story)
        told = f"{len(rows)} pictures of {len(every)} species"
        absent = f"{len(story['left_out'])} absent, {len(self.failed)} dropped"
        self.progress(f"{self.name}: {told}; {absent}")

    def species(self):
        """Returns [{"url", "slug", "species_id", ...}]: what to visit."""
        home = self.site.origins[0]
        if home not in self.journal:
            try:
                listed = self.site.species(self.visitor.page, home)
            except (polite.Missing, polite.Failed) as error:
                raise SourceUnavailable(f"no list of species: {error}.") from None
            except UNREADABLE:
                listed = []
            if not listed:
                raise SourceUnavailable(
                    f"{home} answered, but its list of species is not where it was; "
                    "the site has changed, and scraping/sites.py must follow."
                )
            self.journal.add(home, found=listed)
        return self.journal[home]["found"]

    def pictures(self, species):
        """Returns [{"url", "file", "form", "shiny", ...}]: what a page shows."""
        url = species["url"]
        if url not in self.journal:
            page = self.ask(self.visitor.page, url)
            if page is not None:
                found, names = {}, {k: species[k] for k in ("slug", "species_id")}
                for picture in self.site.pictures(sites.soup(page), species):
                    found.setdefault(picture["file"], names | picture)
                if found:
                    self.journal.add(url, found=list(found.values()))
                else:
                    self.fail(url, "no pictures where they used to be on this page")
        return self.journal.get(url, {}).get("found", [])

    def file(self, url, path):
        """Returns the name of a picture's file, fetched if need be, or None."""
        if url not in self.journal:
            kept = self.ask(self.visitor.picture, url, path)
            if kept is not None:
                self.patience = PATIENCE
                self.bytes += kept.bytes
                file = kept.path.relative_to(self.raw).as_posix()
                self.journal.add(url, file=file, sha256=kept.sha256)
        return self.journal.get(url, {}).get("file")

    def ask(self, get, url, *path):
        """Returns what comes from an address, or None after noting why nothing did."""
        hours = (time.monotonic() - self.began) / 3600
        if hours > MOST_HOURS or self.bytes > MOST_BYTES:
            raise SourceUnavailable(
                f"enough for one visit: {self.bytes >> 20} MB in {hours:.1f} hours."
            )
        try:
            return get(url, *path)
        except polite.Missing as error:
            self.journal.add(url, missing=str(error))  # not asked for again
            self.lose_patience(url, error)
        except polite.Failed as error:
            self.fail(url, error)

    def fail(self, url, reason):
        self.failed[url] = str(reason)  # asked for again by the next run
        self.lose_patience(url, reason)

    def lose_patience(self, url, reason):
        self.progress(f"{self.name}: {url}: {reason}")
        self.patience -= 4 if isinstance(reason, polite.Unanswered) else 1
        if self.patience <= 0:
            raise SourceUnavailable(
                f"address after address brings no picture, the last one {url}: "
                f"{reason}. Either the site is down, or it has changed."
            )

    def report(self, done, every):
        """Says how far it is, and how long it will take."""
        # A page and two pictures each, after as long a wait as robots.txt asks for.
        asked = 3 * sum(species["url"] not in self.journal for species in every[done:])
        left = asked and asked * self.visitor.robots(self.site.origins[0])[1] / 60
        self.last_report = time.monotonic()
        told = f"{done} of {len(every)} species, {self.journal.kept()} pictures"
        self.progress(f"{self.name}: {told}, about {left:.0f} min left")


class _Journal(dict):
    """What is known of each address, kept in a file, so that the next run goes on. It
    maps an address to {"found": [...]} (a page), {"file", "sha256"} (a picture whose
    file is there and unharmed) or {"missing": reason}."""

    def __init__(self, raw):
        path = raw / "journal.jsonl"
        self._file = open(path, "a+", encoding="utf-8", errors="replace")
        self._file.seek(0)
        for line in self._file:
            with contextlib.suppress(OSError, *UNREADABLE):
                entry = json.loads(line.replace("\0", ""))  # as a power cut leaves
                url = entry.pop("url")
                self.pop(url, None)
                file = entry.get("file")
                if not file or files.sha256(raw / file) == entry["sha256"]:
                    self[url] = entry
        for path in raw.rglob(".*.tmp.*"):  # what a killed process was writing
            path.unlink()

    def add(self, url, **entry):
        """Notes what came of an address, at once and for good."""
        # The line break comes first: a killed process may have left half a line.
        self._file.write("\n" + json.dumps({"url": url, **entry}))
        self._file.flush()
        self[url] = entry

    def kept(self):
        """Returns how many pictures there are."""
        return sum("file" in entry for entry in self.values())

    def close(self):
        self._file.close()
