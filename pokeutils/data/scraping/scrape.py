"""Scrapers for three web sites, filling the same raw folders as any other source.

They run only when a person calls `fetch` and agrees to what `notice` says: nothing else
in the project calls it. An interrupted run goes on where it stopped.
"""

import contextlib
import csv
import datetime
import errno
import io
import json
import os
import pathlib
import time

from pokeutils.common import env, files
from pokeutils.data import sources
from pokeutils.data.scraping import polite, sites
from pokeutils.data.download import SourceUnavailable

TELL = 30  # seconds between two lines of progress
PATIENCE = 12  # addresses in a row that bring no picture; one without an answer is 4


def notice(name):
    """Returns what a person should know before scraping a site, as one paragraph.

    Raises ValueError for a name that is not in sites.SITES.
    """
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

    `limit` takes only the first so many species of the site's list; more can follow.
    `contact` (a mail or web address) is passed on to the site, which is good manners.
    What was kept or is known to be absent is not asked for again: delete the folder to
    start anew. Raises ValueError with the notice unless `agree` is True,
    SourceUnavailable when the site cannot or does not want to be asked (what was kept
    stays), RuntimeError when another process is at work in the folder.
    """
    told = notice(name)
    if agree is not True:
        raise ValueError(told)
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
    with (
        _Journal(raw, progress) as journal,
        polite.Visitor(site.origins, contact, progress) as visitor,
    ):
        try:
            _Run(name, site, raw, journal, visitor, progress).go(limit)
        except SourceUnavailable as error:
            kept = sum("file" in entry for entry in journal.entries.values())
            raise type(error)(
                f"{name}: {error} {kept} pictures are kept in {raw}; the same call "
                "goes on from there, today or another day."
            ) from None
    return raw


class _Run:
    """One visit to a site: its list of species, their pages, the pictures on these."""

    def __init__(self, name, site, raw, journal, visitor, progress):
        self.name, self.site, self.raw, self.journal = name, site, raw, journal
        self.visitor, self.progress = visitor, progress
        self.patience, self.failed = PATIENCE, {}
        self.told, self.busy = time.monotonic(), []  # seconds per species asked for

    def go(self, limit):
        species = self.species()[:limit]
        self.tell(0, len(species))
        for done, one in enumerate(species, 1):
            begin, before = time.monotonic(), self.visitor.requests
            for picture in self.pictures(one):
                if picture["url"] not in self.journal.entries:
                    self.keep(picture)
            if self.visitor.requests > before:
                self.busy.append(time.monotonic() - begin)
            if time.monotonic() - self.told > TELL:
                self.tell(done, len(species))
        self.write(species, limit)

    def species(self):
        """Returns [{"url", "slug", "species_id", ...}]: what to visit."""
        home = self.site.origins[0]
        if home not in self.journal.entries:
            try:
                found = self.site.species(self.visitor.page, home)
            except (polite.Missing, polite.Failed) as error:
                raise SourceUnavailable(f"no list of species: {error}.") from None
            except (ValueError, KeyError, TypeError, AttributeError):
                found = []
            if not found:
                raise SourceUnavailable(
                    f"{home} answered, but its list of species is not where it was; "
                    "the site has changed, and pokeutils/data/scraping/sites.py must follow."
                )
            self.journal.add(home, found=found)
        return self.journal.entries[home]["found"]

    def pictures(self, species):
        """Returns [{"url", "file", "form", "shiny", ...}]: what a page shows."""
        url = species["url"]
        if url not in self.journal.entries:
            page = self.ask(self.visitor.page, url)
            if page is not None:
                found = {}
                for picture in self.site.pictures(sites.soup(page), species):
                    names = {key: species[key] for key in ("slug", "species_id")}
                    found.setdefault(picture["file"], names | picture)
                if found:
                    self.journal.add(url, found=list(found.values()))
                else:
                    self.fail(url, "no pictures where they used to be on this page", 1)
        return self.journal.entries.get(url, {}).get("found", [])

    def keep(self, picture):
        kept = self.ask(
            self.visitor.picture, picture["url"], self.raw / picture["file"]
        )
        if kept is not None:
            self.patience = PATIENCE
            file = kept.path.relative_to(self.raw).as_posix()
            when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            facts = {"sha256": kept.sha256, "bytes": kept.bytes, "when": when}
            self.journal.add(picture["url"], file=file, **facts)

    def ask(self, get, url, *path):
        """Returns what comes from an address, or None after noting why nothing did."""
        try:
            return get(url, *path)
        except polite.Missing as error:
            self.journal.add(url, missing=str(error))  # not asked for again
            self.note(url, str(error), 1)
        except polite.Failed as error:
            self.fail(url, str(error), 4 if isinstance(error, polite.Unanswered) else 1)

    def fail(self, url, reason, cost):
        self.failed[url] = reason  # asked for again by the next run
        self.note(url, reason, cost)

    def note(self, url, reason, cost):
        self.progress(f"{self.name}: {url}: {reason}")
        self.patience -= cost
        if self.patience <= 0:
            raise SourceUnavailable(
                f"address after address brings no picture, the last one {url}: "
                f"{reason}. Either the site is down, or it has changed."
            )

    def tell(self, done, total):
        kept = sum("file" in entry for entry in self.journal.entries.values())
        guess = 3 * polite.DELAY  # a page and two pictures
        each = sum(self.busy) / len(self.busy) if self.busy else guess
        left = (total - done) * each
        left = f"{left / 60:.0f} min" if left > 90 else f"{left:.0f} s"
        self.told = time.monotonic()
        self.progress(
            f"{self.name}: {done} of {total} species, {kept} pictures, "
            f"about {left} left"
        )

    def write(self, species, limit):
        """Writes manifest.csv and source.json, which make the folder a raw folder."""
        known, rows, left_out = self.journal.entries, [], []
        for one in species:
            found = known.get(one["url"], {}).get("found", [])
            for picture in found:
                entry = known.get(picture["url"], {})
                if "file" in entry:
                    rows.append(_row(picture, entry))
            for url in (one["url"], *(picture["url"] for picture in found)):
                if "missing" in known.get(url, {}):
                    left_out.append(f"{url}: {known[url]['missing']}")
        if not rows:
            raise SourceUnavailable("no picture at all was found.")
        table = io.StringIO()
        writer = csv.DictWriter(table, sources.COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        files.write_text(self.raw / "manifest.csv", table.getvalue())
        story = {
            "source": self.name,
            "files": len(rows),
            "listing": files.sha256(self.raw / "manifest.csv"),
            "from": self.site.origins[0],
            "verified": "every file was decoded when it came",
            "limit": limit,
            "left_out": left_out,
            "dropped": [{"file": u, "reason": r} for u, r in self.failed.items()],
        }
        files.write_json(self.raw / "source.json", story)
        self.progress(
            f"{self.name}: {len(rows)} pictures of {len(species)} species; "
            f"{len(left_out)} absent, {len(self.failed)} dropped (see source.json)"
        )


def _row(picture, entry):
    row = {column: picture.get(column, "") for column in sources.COLUMNS}
    row |= {"file": entry["file"], "sha256": entry["sha256"]}
    row |= {"shiny": int(picture["shiny"]), "view": "front", "frame": 0}
    return row | {"url_or_package": picture["url"]}


class _Journal:
    """What has been found, one JSON line each, so that the next run goes on from there.

    `entries` maps an address to {"found": [...]} (a page), {"file", "sha256", "bytes",
    "when"} (a picture whose file is there and unharmed) or {"missing": reason}.
    """

    def __init__(self, raw, progress):
        self._file, self.entries = open(raw / "journal.jsonl", "a+b"), {}
        self._lock(raw, progress)
        self._file.seek(0)
        lines = self._file.read()
        whole = lines.rfind(b"\n") + 1
        self._file.truncate(whole)  # a killed process may leave half a line
        for line in lines[:whole].splitlines():
            with contextlib.suppress(ValueError, KeyError):
                entry = json.loads(line)
                self.entries[entry.pop("url")] = entry
        for url, entry in list(self.entries.items()):
            with contextlib.suppress(OSError):
                if "file" not in entry or (
                    files.sha256(raw / entry["file"]) == entry["sha256"]
                ):
                    continue
            del self.entries[url]
        for path in raw.rglob(".*.tmp.*"):  # and half a file
            path.unlink()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def add(self, url, **entry):
        line = json.dumps({"url": url, **entry}) + "\n"
        self._file.write(line.encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries[url] = entry

    def _lock(self, raw, progress):
        # Two runs at once would ask twice as often as either promises.
        with contextlib.suppress(ImportError):  # Windows has no fcntl
            import fcntl

            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                    self._file.close()
                    raise RuntimeError(
                        f"another process is scraping into {raw}; wait until it is "
                        "done."
                    ) from None
                # Some network drives have none.
                progress(
                    f"Note: no locks on this drive ({error}); let no other process "
                    f"scrape into {raw}."
                )
