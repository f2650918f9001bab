"""A picture that changes while a network trains."""

import numpy as np
from tiny import SILENT, TINY, arrays, eagerly

from pokeutils.common import plots
from pokeutils.training import loop
from pokeutils.training.live import Live


def test_one_place_many_pictures_and_no_trace_in_the_weights(outputs, monkeypatch):
    shown = []
    note = lambda picture, display: shown.append((picture, display.__name__))  # noqa: E731
    monkeypatch.setattr(plots, "show", note)
    live = Live(every=0.0)
    with eagerly():
        loop.train(TINY, "doodles", also=[live], minutes=1e-9, **SILENT)
        watched = arrays(live.model.state)
        loop.train(
            TINY, "doodles", run="new", minutes=1e-9, also=[last := Live()], **SILENT
        )
    pictures, ways = zip(*shown, strict=True)
    assert ways[0] == "display" and set(ways[1:15]) == {"update"}
    assert np.ptp([picture.mean() for picture in pictures]) > 0  # it changes
    unwatched = arrays(last.model.state)
    assert all(map(np.array_equal, watched, unwatched))
