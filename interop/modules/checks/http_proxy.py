"""http_proxy: a server of ours that keeps every header and byte; redirects, odd paths and foreign addresses lead to others of ours."""

import base64
import gzip
import json

from gateway import GatewayError, NoModule
from kit import AUTH, INVALID, LIMIT, OUTSIDE, UNREACHABLE, UPSTREAM
from servers import certificate, recorder

REFUSED = OUTSIDE | INVALID | {"egress_denied"}
PROTOCOL = {"upstream_protocol"}
LOOPBACK = ["127.0.0.0/8", "::1/128"]
ESCAPES = [
    "../admin",
    "../../admin",
    "/../admin",
    "items/../../../admin",
    "%2e%2e/admin",
    "%2E%2E%2Fadmin",
    "..%2fadmin",
    ".%2e/admin",
    "..\\admin",
    "%5c..%5cadmin",
    "a\r\nX-Evil: 1",
    "a\x00b",
    "items#frag",
]
# May be names below the base path, but nothing else.
ODD = ["//127.0.0.1:9/x", "http://127.0.0.1:9/x", "@127.0.0.1:9/x", "%252e%252e/admin", ".../x", ";/../x"]
BODIES = {
    "object": {"a": 1, "b": [True, None, "ü"]},
    "array": [1, 2, 3],
    "number": 7,
    "string": "x",
    "null": None,
    "big integer": {"n": 9007199254740993},
    "deep": {"a": {"b": {"c": [[[1]]]}}},
}


def check(world):
    token = world.secret("API_TOKEN", "s3cr3t-token-0f1e2d3c4b5a")
    key = world.secret("API_KEY", "k3y-9a8b7c6d5e4f3a2b")
    pair = world.secret("API_PAIR", "user:päss-5f4e3d2c1b0a")
    tls = certificate.localhost(world.work)
    with recorder.started(respond) as server, recorder.started(respond, tls) as secure, recorder.started(respond) as other:
        targets["other"] = other.url
        world.hidden.update(f"127.0.0.1:{one.port}" for one in (server, secure, other))
        service = lambda name, url, **more: {"name": name, "base_url": url, "allow_private": LOOPBACK, **more}
        services = [
            service("api", f"{server.url}/api/v1", credential_key="API_TOKEN", headers={"X-Team": "ops"}),
            service("keyed", f"{server.url}/k/", credential_key="API_KEY", auth="header:X-Api-Key", allowed_paths=["/open/*"]),
            service("pair", server.url, credential_key="API_PAIR", auth="basic", allowed_methods=["GET"]),
            service("secure", f"https://localhost:{secure.port}/s"),
            service("small", server.url, max_response_bytes=1000, timeout_seconds=2),
            service("gone", "http://127.0.0.1:9/x"),
        ]
        env = {"API_TOKEN": token, "API_KEY": key, "API_PAIR": pair, "SSL_CERT_FILE": str(tls[0])}
        with world.gateway({"http_proxy": {"mode": "write", "config": {"allowed_services": services}}}, env) as gateway:
            world.listed(gateway, *(f"http_proxy_{method}" for method in ("get", "post", "put", "delete")))
            requests(world, gateway, server, token)
            answers(world, gateway, server)
            accounts(world, gateway, server, secure, key, pair)
            confinement(world, gateway, server, other)
            faults(world, gateway, server, other)
        for url in (server.url, f"http://127.1:{server.port}", f"http://0x7f.1:{server.port}", f"http://[::ffff:127.0.0.1]:{server.port}"):
            closed(world, server, url)
        with world.gateway({"http_proxy": {"mode": "read", "config": {"allowed_services": services[:1]}}}, env) as gateway:
            world.listed(gateway, "http_proxy_get")


targets = {}


def respond(request):
    """What the server answers, by the last part of the path."""
    word = recorder.path_of(request).rsplit("/", 1)[-1]
    if word.startswith("json-"):
        return recorder.as_json(BODIES[word.removeprefix("json-").replace("_", " ")])
    if word.startswith("status-"):
        return recorder.as_json({"error": "no", "seen": dict(request.headers).get("Authorization", "")}, int(word.removeprefix("status-")))
    if word.startswith("redirect-"):
        return int(word.removeprefix("redirect-")), {"location": f"{targets['other']}/stolen"}, b""
    plain = {"content-type": "text/plain; charset=utf-8"}
    special = {
        "text": (200, plain, "Grüße".encode()),
        "empty": (204, {}, b""),
        "large": (200, plain, b"x" * 2000),
        "broken": (200, {"content-type": "application/json"}, b'{"a":'),
        "packed": packed(request, "application/json", b'{"packed":true}'),
        "bomb": packed(request, "text/plain", bytes(64 << 20)) if word == "bomb" else None,
        "unasked": (200, {**plain, "content-encoding": "gzip"}, gzip.compress(b"x")),
        "huge": (200, plain, b"x" * ((1 << 20) + 1)),
        "binary": (200, {"content-type": "application/octet-stream"}, bytes(range(256))),
    }
    return special.get(word) or recorder.as_json({"ok": True})


def packed(request, kind, body):
    """Compressed for a client that says it can read that."""
    if "gzip" in (recorder.header(request, "accept-encoding") or ""):
        return 200, {"content-type": kind, "content-encoding": "gzip"}, gzip.compress(body)
    return 200, {"content-type": kind}, body


def requests(world, gateway, server, token):
    """What is sent."""

    def arrived(label, answer, method, target, query=None, body=None):
        world.check(f"{label}: succeeds", None if not answer.error and not answer.is_error else answer.shown())
        taken = server.take()
        if len(taken) != 1:
            return world.check(f"{label}: one request", f"{len(taken)} requests")
        got = (
            taken[0].method,
            recorder.path_of(taken[0]),
            recorder.query_of(taken[0]),
            json.loads(taken[0].body) if taken[0].body else None,
        )
        world.same(f"{label}: as it arrived", got, (method, target, query or [], body))
        sent = [recorder.header(taken[0], name) for name in ("authorization", "x-team", "host")]
        world.same(f"{label}: its headers", sent, [f"Bearer {token}", "ops", f"127.0.0.1:{server.port}"])

    get = lambda path, **more: gateway.call("http_proxy_get", service="api", path=path, **more)
    arrived("get", get("items"), "GET", "/api/v1/items")
    arrived("get with a slash before", get("/items/7"), "GET", "/api/v1/items/7")
    arrived("get with dots inside", get("items/../other"), "GET", "/api/v1/other")
    params = {"q": "a b&c=ü/?", "n": 7, "f": 1.5, "yes": True, "many": ["x", 2], "none": None}
    query = [("f", "1.5"), ("many", "x"), ("many", "2"), ("n", "7"), ("q", "a b&c=ü/?"), ("yes", "true")]
    answer = get("items", params=params)
    if server.requests:
        world.same("get with params: the query", sorted(recorder.query_of(server.requests[-1])), sorted(query))
    server.take()
    world.check("get with params: succeeds", None if not answer.is_error else answer.shown())
    arrived("get with a query in the path", get("items?a=1&b=%26"), "GET", "/api/v1/items", [("a", "1"), ("b", "&")])
    arrived("get with both", get("items?a=1", params={"b": "2"}), "GET", "/api/v1/items", [("a", "1"), ("b", "2")])
    arrived("get of a name that needs encoding", get("dir/Gr%C3%BC%C3%9Fe%20x"), "GET", "/api/v1/dir/Gr%C3%BC%C3%9Fe%20x")
    for method in ("post", "put"):
        call = lambda **more: gateway.call(f"http_proxy_{method}", service="api", path="items", **more)
        arrived(
            method,
            call(body={"a": [1, {"b": "ü\n"}], "n": None}),
            method.upper(),
            "/api/v1/items",
            body={"a": [1, {"b": "ü\n"}], "n": None},
        )
        arrived(f"{method} of nothing", call(), method.upper(), "/api/v1/items", body={})
    arrived("delete", gateway.call("http_proxy_delete", service="api", path="items/7"), "DELETE", "/api/v1/items/7")
    world.refused("an object in params", get("items", params={"a": {"b": 1}}), INVALID)
    world.same("it was not sent", server.take(), [])


def answers(world, gateway, server):
    """What comes back."""
    get = lambda path, service="api": gateway.call("http_proxy_get", service=service, path=path)
    for name, body in BODIES.items():
        answer = get(f"json-{name.replace(' ', '_')}")
        got = world.value(answer)
        world.check(f"a JSON {name}", None if not answer.is_error and got in (body, {"result": body}) else answer.shown())
    world.gives("text", get("text"), {"text": "Grüße"})
    world.gives("gzip where it is asked for", get("packed"), {"packed": True})
    unasked = get("unasked")
    fine = unasked.code in PROTOCOL or world.value(unasked) == {"text": "x"}
    world.check("gzip that nobody asked for is read or refused", None if fine else unasked.shown())
    world.gives("delete with an empty answer", gateway.call("http_proxy_delete", service="api", path="empty"), {"status": "deleted"})
    world.refused("an answer over 1 MiB", get("huge"), LIMIT)
    world.refused("64 MiB of zeros, compressed where that is asked for", get("bomb"), LIMIT)
    world.refused("an answer over the service's limit", get("large", "small"), LIMIT)
    server.take()


def accounts(world, gateway, server, secure, key, pair):
    get = lambda service, path: gateway.call("http_proxy_get", service=service, path=path)
    world.gives("a key in a header of its own", get("keyed", "open/x"), {"ok": True})
    request = server.one()
    world.same(
        "it came there and nowhere else", (recorder.header(request, "x-api-key"), recorder.header(request, "authorization")), (key, None)
    )
    world.gives("basic authentication", get("pair", "x"), {"ok": True})
    world.same("user and password", recorder.header(server.one(), "authorization"), f"Basic {base64.b64encode(pair.encode()).decode()}")
    world.gives("a service without a credential, over TLS", get("secure", "x"), {"ok": True})
    request = secure.one()
    world.same(
        "it got none", (recorder.header(request, "authorization"), recorder.header(request, "host")), (None, f"localhost:{secure.port}")
    )


def confinement(world, gateway, server, other):
    get = lambda service, path: gateway.call("http_proxy_get", service=service, path=path)
    for path in ESCAPES + ODD:
        answer = get("api", path)
        strays = [one.target for one in server.take() + other.take() if not recorder.path_of(one).startswith("/api/v1")]
        world.check(f"{path!r} stays under the base path", f"it reached {strays}" if strays else None)
        if path in ESCAPES:
            world.refused(f"{path!r} is refused", answer, REFUSED)
    world.refused("an unknown service", get("API", "x"), OUTSIDE)
    world.refused("a path outside allowed_paths", get("keyed", "shut/x"), OUTSIDE)
    world.refused("a way around allowed_paths", get("keyed", "open/../shut/x"), OUTSIDE)
    world.refused("a method outside allowed_methods", gateway.call("http_proxy_post", service="pair", path="x"), OUTSIDE)
    world.same("nothing of it was sent", [one.target for one in server.take() + other.take()], [])


def closed(world, server, url):
    """An address that nobody opened stops the start, however it is written."""
    label = f"{url.replace(str(server.port), 'PORT')} without allow_private stops the start"
    try:
        with world.gateway({"http_proxy": {"mode": "read", "config": {"allowed_services": [{"name": "api", "base_url": url}]}}}, {}):
            world.check(label, "it started")
    except NoModule:
        raise
    except GatewayError as error:
        world.check(label, None if "allow_private" in str(error) else str(error))


def faults(world, gateway, server, other):
    get = lambda path, service="api": gateway.call("http_proxy_get", service=service, path=path)
    for status in (301, 302, 307, 308):
        world.refused(f"redirect {status}", get(f"redirect-{status}"), UPSTREAM | {"upstream_redirect"})
    world.same("no redirect was followed", other.take(), [])
    for status, words in {400: UPSTREAM, 401: UPSTREAM | AUTH, 403: UPSTREAM | AUTH, 404: UPSTREAM | {"not_found"}, 500: UPSTREAM}.items():
        answer = get(f"status-{status}")
        world.refused(f"status {status}", answer, words)
        world.check(f"status {status} is told", None if str(status) in answer.shown() else answer.shown())
    world.refused("a server that is not there", get("x", "gone"), UNREACHABLE)
    server.take()
