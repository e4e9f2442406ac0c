from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_hook.redact import redact, tail


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer SECRETSECRET",
        "authorization: Basic SECRETSECRET==",
        'headers={"Authorization": "Bearer SECRETSECRET"}',
        "sent Bearer SECRETSECRET to x",
        "GET https://user:SECRETSECRET@example.org/x",
        "GET https://example.org/x?a=1&api_key=SECRETSECRET&b=2",
        "GET https://example.org/x?key=SECRETSECRET",
        'config: {"access_token": "SECRETSECRET"}',
        "OPENAI_API_KEY=SECRETSECRET",
        "password: SECRETSECRET",
        "run --token SECRETSECRET",
        "Cookie: session=SECRETSECRET; x=SECRETSECRET",
        "using sk-SECRETSECRETSECRET",
        "jwt eyJhbGciOi.SECRETSECRET.SECRETSECRET",
        "-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----",
        "plain SECRETSECRET that only the device knows",
    ],
)
def test_secrets_do_not_leave_the_device(line: str) -> None:
    assert "SECRET" not in redact(line, ["SECRETSECRET"] if line.startswith("plain") else [])


TOKENS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=20, max_size=43)


@given(before=st.text(max_size=60), token=TOKENS, after=st.text(max_size=60), colour=st.booleans())
def test_the_device_s_own_token_leaves_it_in_no_line(before: str, token: str, after: str, *, colour: bool) -> None:
    written = f"{token[:9]}\x1b[1m{token[9:]}" if colour else token
    assert token not in redact(f"{before}{written}{after}", [token])


@pytest.mark.parametrize(
    "line",
    [
        "ModuleNotFoundError: No module named 'numpy'",
        'File "/usr/lib/kitchen/releases/1.2.0/app/main.py", line 3, in <module>',
        "KeyError: 'voice'",
        "GET https://example.org/models/a.onnx 404",
    ],
)
def test_what_explains_a_failure_stays(line: str) -> None:
    assert redact(line) == line


def test_terminal_colours_and_control_characters_go() -> None:
    assert redact("\x1b[31mred\x1b[0m\x00\x07 end\r\nnext\ttab") == "red end\nnext\ttab"


@given(st.text(max_size=200), st.integers(1, 50))
def test_a_tail_is_the_end_of_the_text_and_fits(text: str, size: int) -> None:
    end = tail(text, size)
    assert text.endswith(end)
    assert len(end) <= size


def test_a_tail_starts_with_a_whole_line() -> None:
    assert tail("first line\nsecond\nthird", 14) == "second\nthird"[-12:]
    assert tail("one line that is far too long", 8) == "too long"
