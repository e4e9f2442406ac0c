"""``python -m pkgbuild``, from a checkout."""

import gc
import os

# Or pydantic looks through everything that is installed for plugins of its own, at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
gc.disable()  # importing makes much that stays, and nothing to collect

from pkgbuild.cli import main  # noqa: E402 - the lines above are about this import

gc.freeze()
gc.enable()
main(prog_name="pkgbuild")
