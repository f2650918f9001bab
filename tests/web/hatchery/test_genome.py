"""A text is the same latent in Python and in the browser, today and in old links."""

import numpy as np
import pytest

from pokeutils.web.hatchery import genome

TEXTS = ["Ada", " Élan  vital", "日本", "a~3~12", "(ada*bob*40)", "", "~", "x" * 400]
TEXTS += ["((a*b~2*30)~1*c d*99)~7", "(a*b", "a*b*3", "(a*b*x)", "(a*b*40)c", "a~3b"]


def test_the_same_text_is_the_same_latent_here_and_there(calm):
    script = """texts => texts.map(text => [clean(text), nest(text), brood(text),
      Array.from(latent(clean(text), 31))])"""
    for text, answer in zip(TEXTS, calm.evaluate(script, TEXTS), strict=True):
        own, nest, brood, numbers = answer
        assert own == genome.clean(text) == genome.clean(own)
        assert nest == genome.nest(text) and brood == genome.brood(text)
        assert numbers == pytest.approx(genome.latents([text], 31)[0], abs=2e-6)


def test_latents_are_normal_and_stay_what_they_are():
    found = genome.latents(genome.nest("many", 2000), 64)
    assert abs(found.mean()) < 0.01 and abs(found.std() - 1) < 0.01
    assert np.abs(np.corrcoef(found.T) - np.eye(64)).max() < 0.12
    # Links that people have shared: if this fails, all of them show other creatures.
    wanted = [-0.7440047, 0.9960019, -0.818402, -1.1225162]
    assert genome.normals("ada", 4) == pytest.approx(wanted)
    assert genome.nest("ada")[:3] == ["ada", "sukeni", "dugila"]


def test_a_change_is_small_and_a_walk_arrives():
    parent, child, other = genome.latents(["ada", "ada~1", "bob"], 512)
    alike = [np.corrcoef(parent, one)[0, 1] for one in (child, other)]
    assert alike[0] == pytest.approx(np.sqrt(1 - genome.STEP**2), abs=0.05)
    assert abs(alike[1]) < 0.2
    ends = genome.latents(["(ada*bob*0)", "(ada*bob*100)", "(ada*bob*900)"], 512)
    assert np.abs(ends - [parent, other, other]).max() < 1e-5
