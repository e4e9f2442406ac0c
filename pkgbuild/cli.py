"""The command ``pkgbuild``."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pkgbuild import agent, config, keyring, keys, payload, release, requirements, resign, stack, versions
from pkgbuild.aptly import Aptly
from pkgbuild.errors import EXIT_CODES, Kind, PkgbuildError, disk_full, is_disk_full
from pkgbuild.progress import Progress, human_size
from pkgbuild.publisher import repository_name
from pkgbuild.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULT_TARGETS = ("trixie/amd64", "trixie/arm64")


@contextmanager
def _errors(*, as_json: bool = False) -> Iterator[None]:
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
        print(json.dumps({"error": {"kind": failed.kind, "message": str(failed)}}))
    print(f"pkgbuild: {failed}", file=sys.stderr)
    sys.exit(failed.exit_code)


def _targets(words: tuple[str, ...]) -> tuple[Target, ...] | None:
    return tuple(Target.parse(word) for word in words) or None


_target_option = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="RELEASE/ARCH",
    help="Build for this target (again for more), as trixie/arm64.",
)


@click.group(epilog="Exit codes: " + ", ".join(f"{code} {kind}" for kind, code in EXIT_CODES.items()) + ".")
def main() -> None:
    """Build, sign and publish releases. Settings: pkgbuild.toml, or the file named by PKGBUILD_CONFIG."""


@main.command("release")
@click.option("--version", required=True, help="Higher than every published one, as 1.2.0.")
@click.option("--notes", required=True, help="What is new, in one line.")
@click.option("--urgency", required=True, help="scheduled (in the night) or urgent (as soon as nobody is active).")
@click.option("--src", required=True, type=click.Path(path_type=Path), help="The folder with release.toml.")
@click.option("--channel", help="Instead of the settings' default channel.")
@_target_option
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON on standard output.")
def release_command(
    *, version: str, notes: str, urgency: str, src: Path, channel: str | None, targets: tuple[str, ...], as_json: bool
) -> None:
    """Build, sign, publish and announce one release. If anything fails, the channel stays what it was."""
    with _errors(as_json=as_json):
        settings = config.load(config.settings_path())
        request = release.Request(
            src=src,
            version=version,
            notes=notes,
            urgency=urgency,
            channel=config.channel_name(channel or settings.file.default_channel),
            targets=_targets(targets),
        )
        summary = release.run(settings, request, Progress(release.STEPS))
        line = f"{summary['name']} {version} is published on {summary['channel']}: "
        line += f"{len(summary['packages'])} packages, {human_size(summary['uploaded_bytes'])} of them new"
        print(line, file=sys.stderr)
        if as_json:
            print(json.dumps(summary, indent=1))


@main.command()
@click.option("--src", required=True, type=click.Path(path_type=Path), help="The folder with release.toml.")
@click.option("--version", help="Of the wheel, for a payload of kind wheel.")
@_target_option
@click.option("--anew", is_flag=True, help="Choose the newest fitting wheels instead of keeping the locked ones.")
def lock(*, src: Path, version: str | None, targets: tuple[str, ...], anew: bool) -> None:
    """Write the locks of a payload: its third-party wheels for each target, with hashes."""
    with _errors(), tempfile.TemporaryDirectory(prefix="pkgbuild-lock-") as folder:
        source = payload.read(src)
        if version is None and source.file.payload.kind == "wheel":
            raise PkgbuildError(Kind.BAD_INPUT, f"{src} releases a wheel: name its version with --version.")
        named = targets or tuple(source.file.targets or ()) or _DEFAULT_TARGETS
        for target in _targets(named) or ():
            scratch = Path(folder, target.slug)
            found = requirements.ensure(
                source, versions.check_version(version or "0"), target, scratch, click.echo, anew=anew
            )
            words = (
                f"{len(found.lock.pins)} wheels, layer {found.lock.identity(target)}"
                if found
                else "no third-party wheels"
            )
            print(f"{target}: {words}")


@main.command()
@click.option("--state", required=True, type=click.Path(path_type=Path), help="Folder for keys, caches and aptly.")
@click.option("--aptly-url", help="Where aptly answers; a Unix socket in the state folder without it.")
@click.option("--server-url", help="The repo_server to announce to; none without it.")
@click.option("--api-key-file", help="File with the builder's API key, relative to the state folder.")
@_target_option
def init(
    *, state: Path, aptly_url: str | None, server_url: str | None, api_key_file: str | None, targets: tuple[str, ...]
) -> None:
    """Make keys, aptly.conf and pkgbuild.toml in a state folder; what is there already stays."""
    with _errors():
        chosen = _targets(targets or _DEFAULT_TARGETS) or ()
        made = stack.init(state, chosen, aptly_url=aptly_url, server_url=server_url, api_key_file=api_key_file)
        print(made.path)


@main.command("aptly")
def aptly_command() -> None:
    """Run aptly's API server for these settings, in the foreground, with the archive key."""
    with _errors():
        stack.serve_aptly(config.load(config.settings_path()))


@main.group("keys")
def keys_group() -> None:
    """The builder key and the archive key."""


@keys_group.command("init")
@click.option("--state", required=True, type=click.Path(path_type=Path), help="Folder under which keys/ is made.")
def keys_init(*, state: Path) -> None:
    """Make the keys that are missing."""
    with _errors():
        pair = stack.make_keys(state)
        print(f"builder {pair.builder.fingerprint}\narchive {pair.archive.fingerprint}")


@keys_group.command("package")
@click.option("--version", default="1", show_default=True, help="Raise it whenever the keys change.")
@click.option("--output", default=".", type=click.Path(path_type=Path), help="Folder for the .deb.")
def keys_package(*, version: str, output: Path) -> None:
    """Build pi-ota-keyring_VERSION_all.deb, which makes a device trust both keys."""
    with _errors():
        settings = config.load(config.settings_path())
        builder_home, archive_home = stack.key_homes(settings.state)
        files = settings.file
        builder = keys.find(
            settings.resolve(files.builder.gnupghome or str(builder_home)), files.builder.key, whose="builder"
        )
        archive = keys.find(
            settings.resolve(files.archive.gnupghome or str(archive_home)), files.archive.key, whose="archive"
        )
        with keys.no_agent_left_behind(builder.home):
            print(keyring.build(builder, archive, version, output).path)


@main.command("agent")
@click.argument("deb", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--channel", help="Instead of the settings' default channel.")
def agent_command(*, deb: Path, channel: str | None) -> None:
    """Sign and publish DEB, a newer pi-hook or pi-ota-keyring: devices of the channel take it in their next night."""
    with _errors():
        settings = config.load(config.settings_path())
        chosen = config.channel_name(channel or settings.file.default_channel)
        done = agent.publish(settings, deb, chosen, Progress(agent.STEPS))
        print(f"{done['name']} {done['version']} is published on {chosen} ({', '.join(done['debians'])})")


@main.command("resign")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def resign_command(*, as_json: bool) -> None:
    """Sign what is published anew, so that devices can tell it from a frozen copy; a timer does it daily."""
    with _errors(as_json=as_json):
        done = resign.resign(config.load(config.settings_path()), click.echo)
        print(json.dumps(done) if as_json else f"signed anew: {', '.join(done) or 'nothing is published yet'}")


@main.command()
@click.argument("name", required=False)
@click.option("--channel", help="Instead of the settings' default channel.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(*, name: str | None, channel: str | None, as_json: bool) -> None:
    """Show what is published: the versions of the assistant NAME, or of all assistants."""
    with _errors(as_json=as_json):
        settings = config.load(config.settings_path())
        chosen = config.channel_name(channel or settings.file.default_channel)
        rows = _published(settings, name, chosen)
        if as_json:
            print(json.dumps(rows, indent=1))
        for row in [] if as_json else rows:
            print(
                f"{row['name']:<24} {row['version']:<16} {row['debian']}/{row['architecture']:<8}"
                f" {human_size(row['size'])}"
            )


def _published(settings: config.Settings, name: str | None, channel: str) -> list[dict[str, Any]]:
    files = settings.file
    with closing(
        Aptly(files.aptly.url, timeout_seconds=files.aptly.timeout_seconds, archive_key=files.archive.key)
    ) as aptly:
        have = aptly.repositories()
        rows = [
            {
                "name": p.package,
                "debian": debian,
                "version": p.version,
                "architecture": p.architecture,
                "size": p.size,
                "sha256": p.sha256,
            }
            for debian in sorted({target.debian for target in settings.targets})
            if (repository := repository_name(debian, channel)) in have
            for p in aptly.packages(repository, [name] if name else None)
            if not versions.is_layer(p.package)
        ]
    return sorted(
        rows, key=lambda row: (str(row["name"]), versions.order(str(row["version"])), str(row["architecture"]))
    )


if __name__ == "__main__":
    main()
