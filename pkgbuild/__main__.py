"""``python -m pkgbuild``, from a checkout."""

import os

# Or pydantic looks through everything that is installed for plugins of its own, at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pkgbuild.cli import main

main(prog_name="pkgbuild")
