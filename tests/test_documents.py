"""What people read: the pages in Markdown, their links, pictures and versions."""

import re

import pokeutils
from pokeutils import env


def test_the_newest_change_is_this_version():
    versions = re.findall(
        r"^## (\S+) ",
        (env.ROOT / "CHANGELOG.md").read_text("utf-8"),
        flags=re.MULTILINE,
    )
    assert versions[0] == pokeutils.__version__
