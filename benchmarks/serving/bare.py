"""The least that a Flask endpoint can do with a heartbeat: parse JSON, answer JSON."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

app = Flask(__name__, static_folder=None)


@app.post("/api/v1/devices/<device_id>/heartbeat")
def heartbeat(device_id: str) -> Response:
    """As large an answer as ours."""
    said = request.get_json()
    return jsonify(
        server_time=said["sent_at"],
        next_heartbeat_seconds=300,
        channel="stable",
        hold=None,
        offer=None,
        withheld=None,
        timezone=None,
        device=device_id,
    )
