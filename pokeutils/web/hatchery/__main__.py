"""The command that writes the hatchery's page; see `build`."""

import sys

from pokeutils.web.hatchery import build

if __name__ == "__main__":
    sys.exit(build.main())
