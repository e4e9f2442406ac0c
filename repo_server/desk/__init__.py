"""The operators' web interface: pages rendered here, in plain HTML, that show what the JSON endpoints tell."""

from __future__ import annotations

from flask import Blueprint, Flask

from repo_server.desk import (
    device,
    device_actions,
    devices,
    filters,
    fleet,
    live,
    page,
    setup_audit,
    setup_devices,
    setup_keys,
    setup_repository,
    signing_in,
    update_actions,
    updates,
)

PARTS: tuple[Blueprint, ...] = (
    page.blueprint,
    signing_in.blueprint,
    live.blueprint,
    fleet.blueprint,
    updates.blueprint,
    update_actions.blueprint,
    devices.blueprint,
    device.blueprint,
    device_actions.blueprint,
    setup_devices.blueprint,
    setup_keys.blueprint,
    setup_audit.blueprint,
    setup_repository.blueprint,
)
"""A blueprint's name begins with ``desk``; that is how its addresses are told from the API's."""


def register(app: Flask) -> None:
    """Mount all pages, and have their errors told as pages."""
    for part in PARTS:
        app.register_blueprint(part)
    filters.install(app)
    page.install(app)
