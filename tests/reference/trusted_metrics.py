"""Arrays and pictures that anyone can make again, and trusted values for them.

benchmarks/reference_metrics.py writes those into trusted_metrics.json beside this file;
the tests in tests/evaluation hold our code to them.
"""

import pathlib

import numpy as np

PATH = pathlib.Path(__file__).with_suffix(".json")
SHOWN = slice(None, None, 64)  # 32 of the 2048 features stand in the file


def cases():
    """Return {name: (real, fake)}: float64 features, from NumPy's unchanging stream."""
    random = np.random.RandomState(20)
    mixing = random.standard_normal((48, 48))
    return {
        "normal": (
            random.standard_normal((120, 16)),
            0.8 * random.standard_normal((100, 16)) + 0.3,
        ),
        "fewer pictures than dimensions": (
            random.standard_normal((40, 64)),
            1.3 * random.standard_normal((40, 64)) - 0.2,
        ),
        "like Inception's: positive, skewed, correlated": (
            np.abs(random.gamma(0.5, 1, (300, 48)) @ mixing) / 7,
            np.abs(random.gamma(0.6, 1, (200, 48)) @ mixing) / 7,
        ),
    }


def pictures():
    """Return {name: uint8 (size, size, 3)}, all of 299 px but one."""
    random = np.random.RandomState(21)
    y, x = np.mgrid[:299, :299]
    figure = np.full((299, 299, 3), 255, "uint8")
    figure[np.hypot(x - 150, y - 130) < 90] = (220, 40, 60)
    figure[(abs(x - 150) < 40) & (abs(y - 230) < 50)] = (30, 90, 200)
    blocks = random.randint(0, 256, (13, 13, 3)).repeat(23, 0).repeat(23, 1)
    return {
        "noise": random.randint(0, 256, (299, 299, 3)).astype("uint8"),
        "ramp": np.stack([x, y, 298 - x], -1).clip(0, 255).astype("uint8"),
        "figure": figure,
        "blocks": blocks.astype("uint8"),
        "small": figure[5::5, 5::5][:58, :58].copy(),
    }
