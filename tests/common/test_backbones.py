"""The backbones are the networks whose names they have."""

import drawings
import numpy as np
import pytest

from pokeutils.common import backbones
from pokeutils.evaluation import features

TRAFFIC_LIGHT = 920  # its number among ImageNet's 1000 classes


@pytest.fixture(scope="module")
def lite0_model():
    """The network with all that it can give; logits last."""
    return backbones.lite0_model((2, 4, 10, 15, "features", "logits"))


def test_lite0_recognises_a_traffic_light(lite0_model):
    # The network with these weights names china.jpg and flower.jpg of scikit-learn
    # palace (0.30) and daisy (0.23), as it should; its answers are pinned here.
    pixels = features.resize(drawings.traffic_light(), 224)
    logits = np.asarray(lite0_model.predict_on_batch(pixels)[-1])[0]
    best = logits.argsort()[::-1][:3]
    assert list(best) == [TRAFFIC_LIGHT, 916, 844]
    np.testing.assert_allclose(logits[best], [6.2095, 5.9278, 5.7116], atol=2e-3)


def test_lite0_taps_are_the_scales_of_projected_gan(lite0_model):
    outputs = lite0_model.predict_on_batch(np.zeros((1, 64, 64, 3)))
    scales = [(16, 16, 24), (8, 8, 40), (4, 4, 112), (2, 2, 320)]
    assert [output.shape[1:] for output in outputs] == [*scales, (1280,), (1000,)]
    assert not lite0_model.trainable_variables
