"""What goes wrong between us and aptly, as our sentences."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
from aptly_api.base import AptlyAPIException  # type: ignore[import-untyped]  # ships no py.typed

from pkgbuild.errors import Kind, PkgbuildError, disk_full, is_disk_full

if TYPE_CHECKING:
    from collections.abc import Iterator

_TURNED_AWAY = frozenset({401, 403})
_OF_A_PROXY = frozenset({502, 503, 504})
"""How a web server in front of aptly says that nothing answers behind it."""
_IN_USE = "resources are used by other tasks"
_NO_KEY = ("gpg", "sign", "secret key", "passphrase")


@contextmanager
def talking(url: str, doing: str, *, signs: bool = False) -> Iterator[None]:
    """Around calls to aptly at ``url``; ``doing`` completes "… while DOING". Raises ``PkgbuildError``."""
    try:
        yield
    except AptlyAPIException as error:
        if error.status_code in _TURNED_AWAY:
            raise PkgbuildError(
                Kind.APTLY_UNREACHABLE,
                f"{url} refuses the builder (status {error.status_code}, {doing}): correct aptly.username and"
                " the password in the settings.",
            ) from error
        if error.status_code in _OF_A_PROXY:
            raise PkgbuildError(
                Kind.APTLY_UNREACHABLE,
                f"The web server at {url} answers, and aptly behind it does not (status {error.status_code}, {doing}):"
                " start it there (`systemctl start pi-ota-aptly`).",
            ) from error
        raise _refusal(str(error), doing, signs=signs) from error
    except requests.exceptions.SSLError as error:
        raise PkgbuildError(
            Kind.APTLY_UNREACHABLE,
            f"{url} shows a certificate that this machine does not trust ({_cause(error)}): mend it there, or name your"
            " own authority's certificate in the environment, REQUESTS_CA_BUNDLE=/path/to/ca.pem.",
        ) from error
    except requests.Timeout as error:
        raise PkgbuildError(
            Kind.APTLY_UNREACHABLE,
            f"aptly at {url} did not answer in time while {doing}: look at its log, or raise aptly.timeout_seconds.",
        ) from error
    except requests.JSONDecodeError as error:
        raise PkgbuildError(
            Kind.APTLY_UNREACHABLE, f"{url} answers, but not as aptly does: check aptly.url in the settings."
        ) from error
    except requests.RequestException as error:
        raise PkgbuildError(
            Kind.APTLY_UNREACHABLE,
            f"aptly does not answer at {url} ({doing}): start it with `pkgbuild aptly`, or correct aptly.url.",
        ) from error


def _cause(error: requests.exceptions.SSLError) -> str:
    """What OpenSSL has said, without what wraps it."""
    said = re.search(r"certificate verify failed: ([^(]+) \(", str(error))
    return said[1] if said else str(error)


def _refusal(words: str, doing: str, *, signs: bool) -> PkgbuildError:
    if is_disk_full(words):
        return disk_full("aptly")
    if _IN_USE in words:
        return PkgbuildError(
            Kind.BUSY, f"aptly is at something else ({doing}): wait until the other builder has finished."
        )
    if signs and any(word in words.lower() for word in _NO_KEY):
        return PkgbuildError(
            Kind.MISSING_KEY,
            f"The archive key is missing: aptly cannot sign ({words}). Start aptly with the GNUPGHOME that holds the"
            " archive key (`pkgbuild aptly` does), or restore the key from your backup.",
        )
    return PkgbuildError(
        Kind.PUBLISH_FAILED, f"aptly refused while {doing}: {words}. Run the release again once that is mended."
    )
