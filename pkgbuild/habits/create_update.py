"""`create_update.sh VERSION DESCRIPTION [scheduled|urgent]`: `make release` by its old name.

It says which variables it gives to `make release`, and becomes it. Values travel in the environment and are expanded by
nobody, so quotes, dollars, backquotes and line ends in a description stay what they are.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pkgbuild.habits import env_file, names
from pkgbuild.habits.env_file import EnvFileError

ROOT = Path(__file__).resolve().parents[2]
FILE_VARIABLE = "ENV_FILE"
"""Of `create_update.sh`: the `.env` file to read, else that of the working folder, else the one beside the script."""
URGENCIES = ("scheduled", "urgent")
USAGE = """usage: create_update.sh VERSION DESCRIPTION [scheduled|urgent]

  create_update.sh v1.0.0 "Initial release" scheduled

is the same as

  make release VERSION=1.0.0 NOTES="Initial release" URGENCY=scheduled SRC=…

SRC names the folder with release.toml: in the environment, or as a line of an .env file in this folder."""
_PATHS = ("SRC", "PKGBUILD_CONFIG")
_BAD_INPUT = 2
_LEAST, _MOST = 2, 3


class UsageError(Exception):
    """The command line cannot be used; the text says what to write."""


def variables(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The variables of `make release`, and what to tell. Raises ``UsageError``, ``EnvFileError``."""
    version, notes, urgency = _given(arguments)
    given, told = _of_file(environment)
    # What was exported counts before what stands in a file.
    given |= {name: environment[name] for name in (*_PATHS, "CHANNEL") if environment.get(name)}
    if not given.get("SRC"):
        raise UsageError("say which folder is released: SRC=path/to/it in the environment or in .env")
    source = Path(given["SRC"]).expanduser().absolute()
    if not (source / "release.toml").is_file():
        raise UsageError(
            f"{source} has no release.toml, which says what is released: copy that of examples/sample_assistant there"
        )
    # make works in another folder.
    given |= {name: str(Path(given[name]).expanduser().absolute()) for name in _PATHS if name in given}
    return given | {"VERSION": version, "NOTES": notes, "URGENCY": urgency}, told


def _given(arguments: Sequence[str]) -> tuple[str, str, str]:
    if len(arguments) > _MOST:
        raise UsageError(
            f"{arguments[_MOST]!r} is one argument too many. Debian packages that the release needs are `depends` "
            f"under [payload] in its release.toml; a description of several words stands in quotes"
        )
    if len(arguments) < _LEAST:
        raise UsageError("a version and a description are needed")
    version, notes, urgency = (*arguments, URGENCIES[0])[:_MOST]
    plain = re.sub(r"^[vV](?=\d)", "", version)
    if not re.match(r"\d", plain):
        raise UsageError(f"{version!r} is not a version: write v1.0.0 or 1.0.0")
    if not notes.strip():
        raise UsageError("the description is empty: say in one line what is new")
    if urgency == "instant":
        raise UsageError(
            "there is no instant update: nobody is interrupted. Release it as urgent; `sudo pi-hook install --now` "
            "on a device skips the wait there"
        )
    if urgency not in URGENCIES:
        raise UsageError(f"{urgency!r} is not an urgency: write scheduled (at night) or urgent (when nobody is active)")
    return plain, notes, urgency


def _of_file(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    named = environment.get(FILE_VARIABLE)
    found = [path for path in (Path(".env"), ROOT / ".env") if path.is_file()]
    if not named and not found:
        return {}, []
    file = Path(named) if named else found[0]
    given, told = names.for_release(env_file.read(file))
    given |= {name: str(file.parent / Path(given[name]).expanduser()) for name in _PATHS if name in given}
    return given, [f"{file}: {one}" for one in told]


def main(arguments: Sequence[str]) -> int:
    """Become `make release`; the exit status where that cannot be."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(USAGE)  # noqa: T201 - it is what was asked for
        return 0 if arguments else _BAD_INPUT
    try:
        given, told = variables(arguments, os.environ)
    except (UsageError, EnvFileError) as error:
        print(f"create_update.sh: {error}.", file=sys.stderr)  # noqa: T201 - for people
        return _BAD_INPUT
    for one in told:
        print(one, file=sys.stderr)  # noqa: T201 - as above
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # the script's own
    release = ["make", "--no-print-directory", "--directory", str(ROOT), "release"]
    return os.execvpe("make", release, inherited | given)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
