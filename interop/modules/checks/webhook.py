"""What slack_webhook and discord_webhook have in common: one POST of JSON to an address that is a secret in whole."""

import contextlib
import json

from kit import AUTH, UNREACHABLE, UPSTREAM
from servers import certificate, recorder

PATH = "/services/T024BE7LD/B024BE7LH/q9Zx3vN7pL2mK8wR4tY6uI1o"


@contextlib.contextmanager
def over_tls(world, variable, config):
    """(gateway, recorder, status) with a server that has a certificate which the gateway trusts."""
    tls = certificate.localhost(world.work)
    status = {"now": 200, "body": b"ok"}

    def answer(request):
        elsewhere = {"location": "https://localhost:9/elsewhere"} if status["now"] == 302 else {}
        return status["now"], {"content-type": "text/plain", **elsewhere}, status["body"]

    with recorder.started(answer, tls) as server:
        url = world.secret(variable, f"https://localhost:{server.port}{PATH}")
        world.secret("the path of the webhook", PATH)
        world.hidden.add(f"localhost:{server.port}")
        with world.gateway({world.module: {"mode": "write", "config": config}}, {variable: url, "SSL_CERT_FILE": str(tls[0])}) as gateway:
            yield gateway, server, status


def posted(request):
    if (request.method, request.target) != ("POST", PATH):
        raise AssertionError(f"{request.method} {request.target}")
    kind = recorder.header(request, "content-type") or ""
    if kind.split(";")[0] != "application/json" or recorder.header(request, "authorization"):
        raise AssertionError(f"headers {request.headers}")
    return json.loads(request.body)


def faults(world, gateway, server, status, arguments):
    """Errors of the service, none of which may show the address."""
    status["body"] = f"no such hook {PATH}".encode()
    for code, words in {404: UPSTREAM, 500: UPSTREAM, 403: UPSTREAM | AUTH, 302: UPSTREAM | {"upstream_redirect"}}.items():
        status["now"] = code
        world.refused(f"status {code}", gateway.call(f"{world.module}_send", **arguments), words)
        world.same(f"status {code} was asked for once", len(server.take()), 1)
    status.update(now=200, body=b"ok")


def untrusted(world, variable, config, arguments):
    """A certificate of nobody, and a server that is gone."""
    with recorder.started(lambda request: (200, {}, b"ok"), certificate.localhost(world.work, "other")) as server:
        url = world.secret(variable, f"https://localhost:{server.port}{PATH}")
        with world.gateway({world.module: {"mode": "write", "config": config}}, {variable: url}) as gateway:
            answer = gateway.call(f"{world.module}_send", **arguments)
            world.refused("an untrusted certificate", answer, UNREACHABLE | AUTH | UPSTREAM | {"upstream_protocol"})
            world.same("nothing was sent to it", server.take(), [])
    with world.gateway({world.module: {"mode": "write", "config": config}}, {variable: url}) as gateway:
        world.refused("a server that is not there", gateway.call(f"{world.module}_send", **arguments), UNREACHABLE)
