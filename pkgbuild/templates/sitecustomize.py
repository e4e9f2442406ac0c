"""Puts this release's own code and its wheels on the import path, before everything of the system but the standard library.

The launcher puts this folder on PYTHONPATH, so Python itself imports it at start, also in programs the assistant starts.
"""

import os
import site
import sys

_RELEASE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

if "%d.%d" % sys.version_info[:2] == "@PYTHON_VERSION@":  # another Python cannot load these wheels
    _before = list(sys.path)
    for _name in ("app", "deps"):
        _folder = os.path.realpath(os.path.join(_RELEASE, _name))
        if os.path.isdir(_folder):
            site.addsitedir(_folder)  # follows the wheels' .pth files too
    _added = [_path for _path in sys.path if _path not in _before]
    _at = next((_i for _i, _path in enumerate(_before) if _path.endswith("-packages")), len(_before))
    sys.path[:] = _before[:_at] + _added + _before[_at:]
