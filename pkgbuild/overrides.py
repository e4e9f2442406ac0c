"""Where lintian's rules do not fit these packages, and why: each package carries the reasons with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pkgbuild.deb import Override

if TYPE_CHECKING:
    from pkgbuild.compiled import Needs
    from pkgbuild.payload import ReleaseFile

_PYTHON = Override(
    "The interpreter is named by its path: one of the same version in /usr/local would write byte code that the release"
    " then does not use.",
    ("command-with-path-in-maintainer-script",),
)
_NOTICE = Override("The authors state a licence and no year.", ("copyright-without-copyright-notice",))
_NOTICES_INSIDE = Override(
    "The wheels' own notices are beside their code, in the folders *.dist-info.",
    ("copyright-without-copyright-notice",),
)
_AS_PUBLISHED = Override(
    "Wheels are unpacked as their authors published them, whole and unchanged: their files are what the lock's hashes"
    " vouch for. They bring the libraries that they were built with.",
    (
        "embedded-library",
        "library-not-linked-against-libc",
        "package-contains-timestamped-gzip",
        "shared-library-lacks-prerequisites",
        "unstripped-binary-or-object",
        "unusual-interpreter",
    ),
)
_UPDATE_FIELDS = Override(
    "pi-hook reads these fields from the repository's signed index: how urgent the update is, and what is new.",
    ("unknown-field",),
)
_MARKED = Override("The field says that no ARMv6 board can run it.", ("unknown-field",))
_USER_UNIT = Override(
    "A user's systemd is asked to load its units anew, for which deb-systemd-invoke has no action.",
    ("maintainer-script-calls-systemctl",),
)


def of_deps(needs: Needs) -> tuple[Override, ...]:
    """For the third-party wheels."""
    return (_PYTHON, _NOTICES_INSIDE, _AS_PUBLISHED, *_of_marked(needs))


def of_app(file: ReleaseFile, needs: Needs) -> tuple[Override, ...]:
    """For a release directory."""
    published = (_AS_PUBLISHED,) if needs.compiled or file.payload.kind == "wheel" else ()
    return (_PYTHON, *of_asset(file), *published, *_of_marked(needs))


def of_asset(file: ReleaseFile) -> tuple[Override, ...]:
    """For large files."""
    return () if file.copyright else (_NOTICE,)


def of_service(file: ReleaseFile) -> tuple[Override, ...]:
    """For ``NAME``."""
    return (_UPDATE_FIELDS, *of_asset(file), *((_USER_UNIT,) if file.run.unit == "user" else ()))


def _of_marked(needs: Needs) -> tuple[Override, ...]:
    return (_MARKED,) if needs.armv7 else ()
