"""What the server may set over this device's own files, as its setting ``server.may_set`` allows. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pi_hook.ports import AptSettings

if TYPE_CHECKING:
    from pi_hook.config import Settings
    from pi_hook.identity import Identity
    from pi_hook.wire import HeartbeatAnswer


def channel_of(settings: Settings, servers: str | None) -> str:
    """The channel to follow: the server's where it may set it and has, else that of the files."""
    return (servers if "channel" in settings.may_set else None) or settings.channel


def zone_of(settings: Settings, servers: str | None) -> str | None:
    """The zone's name that goes before the files' own; None where the server may not set one, or has not."""
    return servers if "timezone" in settings.may_set else None


def apt_settings(settings: Settings, servers_channel: str | None, debian: str, identity: Identity) -> AptSettings:
    """What apt is to know."""
    return AptSettings(
        settings.server_url,
        debian,
        channel_of(settings, servers_channel),
        settings.assistant,
        identity.device_id,
        identity.token,
        settings.network.proxy,
        settings.network.bandwidth_kilobytes_per_second,
    )


def as_allowed(answer: HeartbeatAnswer, settings: Settings) -> tuple[HeartbeatAnswer, str | None]:
    """A heartbeat's answer without what this device does not follow, and a sentence where that leaves no offer.

    A hold that is not taken over does not open anything: the server of a held device grants nothing.
    """
    if "hold" not in settings.may_set:
        answer = replace(answer, hold=None)
    followed = channel_of(settings, answer.channel)
    if answer.channel is None or answer.channel == followed:
        return _for_this_assistant(answer, settings.assistant)
    sentence = (
        f"the server has this device on the channel {answer.channel}, but server.may_set keeps it on {followed}; set "
        f"the device's channel to {followed} there, or allow channel in server.may_set"
    )
    return replace(answer, offer=None, withheld=None), sentence


def _for_this_assistant(answer: HeartbeatAnswer, assistant: str) -> tuple[HeartbeatAnswer, str | None]:
    if answer.offer is None or answer.offer.name == assistant:
        return answer, None
    sentence = (
        f"the server offers {answer.offer.name}, which this device does not follow; assistant.name is {assistant}"
    )
    return replace(answer, offer=None), sentence
