"""ntfy: no package of the server exists, so the request is held to ntfy's documentation, header by header and byte by byte."""

import email.header
import json

from kit import AUTH, INVALID, LIMIT, UNREACHABLE, UPSTREAM
from servers import recorder

NUMBERS = {1: "min", 2: "low", 3: "default", 4: "high", 5: "urgent"}


def check(world):
    token = world.secret("NTFY_TOKEN", "tk_7f3c9a5e1d8b2f4c6a0e9d7b5c3a1f8e")
    status = {"now": 200}
    answer = lambda request: recorder.as_json({"id": "x", "event": "message"}, status["now"], location="http://127.0.0.1:9/other")
    with recorder.started(answer) as server:
        world.hidden.add(f"127.0.0.1:{server.port}")
        env = {"NTFY_URL": server.url, "NTFY_TOKEN": token}
        with world.gateway({"ntfy": {"mode": "write", "config": {"topic": "team-{agent_id}"}}}, env) as gateway:
            world.listed(gateway, "ntfy_send")
            sends(world, gateway, server, token)
            faults(world, gateway, server, status)
        with world.gateway({"ntfy": {"mode": "write", "config": {"max_priority": "low"}}}, {"NTFY_URL": server.url + "/"}) as gateway:
            caps(world, gateway, server)
    with world.gateway({"ntfy": {"mode": "write"}}, env) as gateway:
        world.refused("a server that is not there", gateway.call("ntfy_send", title="t", message="m"), UNREACHABLE)


def understood(request, topic):
    """The message as an ntfy server reads a request: by headers, which may be RFC 2047, or as JSON to the root."""
    kind = (recorder.header(request, "content-type") or "").split(";")[0]
    if recorder.path_of(request) == "/" and kind == "application/json":
        said = json.loads(request.body)
        tags = said.get("tags", [])
        return said["topic"], said.get("title", ""), said["message"], NUMBERS[said.get("priority", 3)], tags
    for key, value in request.headers:
        if not value.isascii() or any(ord(c) < 32 or ord(c) == 127 for c in value):
            raise AssertionError(f"the header {key} holds {value!r}")
    decode = lambda name: str(email.header.make_header(email.header.decode_header(recorder.header(request, name) or "")))
    tags = [tag.strip() for tag in decode("tags").split(",") if tag.strip()]
    return recorder.path_of(request)[1:], decode("title"), request.body.decode(), recorder.header(request, "priority") or "default", tags


def sends(world, gateway, server, token):
    cases = {
        "plain": ({"title": "Build", "message": "done"}, ("Build", "done", "default", [])),
        "priority and tags": (
            {"title": "T", "message": "m", "priority": "high", "tags": "warning, robot"},
            ("T", "m", "high", ["warning", "robot"]),
        ),
        "non-ASCII": (
            {"title": "Grüße 世界 👩‍🚀", "message": "Über\nzwei Zeilen", "tags": "größe"},
            ("Grüße 世界 👩‍🚀", "Über\nzwei Zeilen", "default", ["größe"]),
        ),
        "a long non-ASCII title": ({"title": "ü" * 120, "message": "m"}, ("ü" * 120, "m", "default", [])),
        "a title that looks encoded": ({"title": "=?utf-8?q?x?=", "message": "m"}, ("=?utf-8?q?x?=", "m", "default", [])),
        "line breaks in title and tags": (
            {"title": "a\r\nX-Evil: 1", "message": "m", "tags": "a\nb"},
            ("a X-Evil: 1", "m", "default", ["a b"]),
        ),
        "controls in the title": ({"title": "a\x00\x07b", "message": "m"}, ("ab", "m", "default", [])),
        "a number as priority": ({"title": "t", "message": "m", "priority": "5"}, ("t", "m", "urgent", [])),
        "max as priority": ({"title": "t", "message": "m", "priority": "max"}, ("t", "m", "urgent", [])),
        "4,096 bytes": ({"title": "t", "message": "ü" * 2048}, ("t", "ü" * 2048, "default", [])),
    }
    for label, (arguments, expected) in cases.items():
        if not world.gives(f"send: {label}", gateway.call("ntfy_send", **arguments), True):
            server.take()
            continue
        request = server.one()
        world.same(f"as the server reads it: {label}", understood(request, "team-build-01"), ("team-build-01", *expected))
        world.same(f"method and token: {label}", (request.method, recorder.header(request, "authorization")), ("POST", f"Bearer {token}"))
        world.same(f"no header was smuggled in: {label}", recorder.header(request, "x-evil"), None)


def faults(world, gateway, server, status):
    for label, arguments in {"an unknown priority": {"priority": "extreme"}, "an unknown argument": {"topic": "other"}}.items():
        world.refused(label, gateway.call("ntfy_send", title="t", message="m", **arguments), INVALID)
    world.refused("a message of 4,097 bytes", gateway.call("ntfy_send", title="t", message="x" * 4097), LIMIT)
    world.same("nothing of it was sent", server.take(), [])
    for code, words in {
        500: UPSTREAM,
        429: UPSTREAM | {"rate_limited"},
        401: UPSTREAM | AUTH,
        307: UPSTREAM | {"upstream_redirect"},
    }.items():
        status["now"] = code
        world.refused(f"status {code}", gateway.call("ntfy_send", title="t", message="m"), words)
        world.check(
            f"status {code}: one request, or one more for 429",
            None if len(server.take()) <= (2 if code == 429 else 1) else "it was sent again",
        )
    status["now"] = 200


def caps(world, gateway, server):
    for priority, expected in {"urgent": "low", "default": "low", "low": "low", "min": "min", "4": "low"}.items():
        world.gives(f"send with {priority} under the cap low", gateway.call("ntfy_send", title="t", message="m", priority=priority), True)
        topic, _, _, sent, _ = understood(request := server.one(), "")
        world.same(
            f"topic, priority and token: {priority}",
            (topic, sent, recorder.header(request, "authorization")),
            ("agents-build-01", expected, None),
        )
