"""What commands share: how they end, what they print, and the options that several have."""

from __future__ import annotations

import json
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from pkgbuild.errors import Kind, PkgbuildError, disk_full, is_disk_full
from pkgbuild.progress import Progress
from pkgbuild.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_TARGETS = ("trixie/amd64", "trixie/arm64")

channel_option = click.option("--channel", help="Instead of the settings' default channel.")
quiet_option = click.option("--quiet", is_flag=True, help="Say nothing on standard error but what went wrong.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, errors included.")
target_option = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="RELEASE/ARCH",
    help="Build for this target (again for more), as trixie/arm64.",
)


@contextmanager
def errors(*, as_json: bool = False) -> Iterator[None]:
    """Every failure ends as one sentence and the exit code of its kind; only a defect of ours shows a traceback."""
    try:
        yield
    except PkgbuildError as error:
        failed = error
    except Exception as error:  # noqa: BLE001 - the outermost place: nothing above could say it better
        if isinstance(error, OSError) and is_disk_full(error):
            failed = disk_full(f"this machine ({error.filename or 'state folder'})")
        else:
            traceback.print_exc()
            failed = PkgbuildError(
                Kind.INTERNAL, f"This is a defect of pkgbuild ({error!r}): please report the lines above."
            )
    else:
        return
    if as_json:
        print_json({"error": {"kind": failed.kind, "message": str(failed)}})
    click.echo(f"pkgbuild: {failed}", err=True)
    sys.exit(failed.exit_code)


def progress(steps: int, *, quiet: bool) -> Progress:
    """What a person sees of a command that takes a while."""
    return Progress(steps, quiet=quiet)


def print_json(value: object) -> None:
    """For programs: one document on standard output."""
    click.echo(json.dumps(value, indent=1))


def parse_targets(words: tuple[str, ...]) -> tuple[Target, ...] | None:
    """The targets that were named; None where none was. Raises ``BAD_INPUT``."""
    return tuple(Target.parse(word) for word in words) or None
