"""``python -m repo_server.install``, which ``make install-server`` and ``make uninstall-server`` run as root."""

from __future__ import annotations

from collections.abc import Iterable

import click

from repo_server.install import down, up
from repo_server.install.machine import InstallError, Machine


@click.group()
def main() -> None:
    """Make a server of this machine, or take it off again."""


@main.command("up")
@click.option("--host", help="The name under which devices reach it, as updates.example.org.")
@click.option("--tls", type=click.Choice(["own", "certbot"]), default="own", show_default=True)
@click.option("--email", help="Where the certificate authority writes to, with --tls certbot.")
def up_command(host: str | None, tls: str, email: str | None) -> None:
    """Install, upgrade or mend; what is there stays."""
    _tell(up.install(Machine(click.echo), host, tls, email))


@main.command("down")
@click.option("--purge", is_flag=True, help="Take the data as well.")
def down_command(*, purge: bool) -> None:
    """Uninstall."""
    if purge:
        for folder, what in down.DATA.items():
            click.echo(f"will go   {folder}: {what}")
    _tell(down.uninstall(Machine(click.echo), purge=purge))


def _tell(words: Iterable[str]) -> None:
    """What a person has to know comes last, below the report, also of a run that failed half-way."""
    kept: list[str] = []
    try:
        for line in words:
            kept.append(line)  # noqa: PERF402 - what came before an error is kept
    except InstallError as error:
        raise click.ClickException(str(error)) from None
    finally:
        for line in kept:
            click.echo(line)


if __name__ == "__main__":
    main(prog_name="repo_server.install")
