"""``python3 -m pi_hook`` is ``pi-hook``."""

import sys

from pi_hook.cli import main

sys.exit(main())
