"""Facts about species: known ones right, unknown ones empty."""

from pokeutils.data import species


def test_every_species_has_its_facts():
    every = [species.facts(number) for number in range(1, species.COUNT + 1)]
    assert len({facts["slug"] for facts in every}) == 1025
    assert all(facts["type1"] and facts["hp"] > 0 for facts in every)
    ages = [every[n - 1]["generation"] for n in (151, 152, 649, 650, 906)]
    assert ages == [1, 2, 5, 6, 9]
    values = "charizard", "Charizard", 1, "fire", "flying", 78, 84, 78, 109, 85, 100
    names = "slug", "name", "generation", "type1", "type2", *species.STATS
    assert every[5] == dict(zip(names, values, strict=True))
    assert every[28]["slug"] == "nidoran-f" and every[385]["slug"] == "deoxys"


def test_a_form_has_facts_of_its_own_or_none():
    assert species.facts(37, "alola")["type1"] == "ice"
    assert species.facts(37, "alolan") == species.facts(37, "alola")
    assert species.facts(386, "speed")["speed"] == 180
    unknown = species.facts(585, "autumn")
    assert unknown == {"slug": "deerling", "name": "Deerling", "generation": 5}
    assert species.facts(0) == species.facts(2000) == {}
