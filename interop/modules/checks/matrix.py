"""matrix: messages in rooms of a Synapse homeserver, read back through its client API."""

from kit import AUTH, INVALID, OUTSIDE, UNREACHABLE, UPSTREAM
from servers import matrix

TEXTS = {
    "plain": "done",
    "every script": "Grüße, мир, 世界, 👩‍🚀",
    "lines": "one\ntwo\r\nthree",
    "markup": "<b>bold</b> &amp; `code`",
    "a slash": "/join #x",
    "controls": "a\tb\u0001c",
    "30 KB": "ü" * 15_000,
    "JSON": '{"msgtype":"m.image"}',
}


def check(world):
    with matrix.started(world.cache, world.work / "synapse") as server:
        world.hidden.add(server.url.removeprefix("http://"))
        _, admin = server.register("admin", admin=True)
        user, token = server.register("agent")
        server.limit(admin, user, 0, 0)
        world.secret("MATRIX_ACCESS_TOKEN", token)
        # Rooms of version 12 have no server in their id, older ones have.
        rooms = {version: server.room(token, room_version=version) for version in ("11", "12")}
        other, named = server.room(token), server.room(token, room_alias_name="ops")
        env = {"MATRIX_HOMESERVER": server.url, "MATRIX_ACCESS_TOKEN": token}
        run = lambda env, allowed: world.gateway({"matrix": {"mode": "write", "config": {"allowed_rooms": allowed}}}, env)
        with run(env, list(rooms.values())) as gateway:
            world.listed(gateway, "matrix_send")
            for version, room in rooms.items():
                sends(world, gateway, server, token, user, version, room)
            refusals(world, gateway, server, token, other, rooms["11"])
        with run(env, ["#ops:matrix.test"]) as gateway:
            world.gives("send to an alias", gateway.call("matrix_send", room="#ops:matrix.test", message="by alias"), True)
            world.same("it is in the alias' room", [event["content"]["body"] for event in server.messages(token, named)], ["by alias"])
        with run({**env, "MATRIX_ACCESS_TOKEN": world.secret("the wrong token", "syt_d3JvbmctdG9rZW4_wrong")}, [rooms["11"]]) as gateway:
            world.refused("a wrong token", gateway.call("matrix_send", room=rooms["11"], message="x"), AUTH | UPSTREAM)
        limited(world, server, admin, run)
    with run(env, [rooms["11"]]) as gateway:
        world.refused("a homeserver that is not there", gateway.call("matrix_send", room=rooms["11"], message="x"), UNREACHABLE)


def sends(world, gateway, server, token, user, version, room):
    for label, text in TEXTS.items():
        world.gives(f"send to a room of version {version}: {label}", gateway.call("matrix_send", room=room, message=text), True)
    events = server.messages(token, room)
    got = [(event["sender"], event["content"]) for event in events]
    world.same(
        f"as read back, each once and in order, version {version}",
        got,
        [(user, {"msgtype": "m.text", "body": text}) for text in TEXTS.values()],
    )


def refusals(world, gateway, server, token, other, room):
    for label, name in {
        "another room of the agent": other,
        "with a space": f"{room} ",
        "without its server": room.split(":")[0],
        "a path": "../../x",
        "empty": "",
    }.items():
        world.refused(label, gateway.call("matrix_send", room=name, message="x"), OUTSIDE | INVALID)
    world.refused("no message", gateway.call("matrix_send", room=room), INVALID)
    world.same("nothing is in the other room", server.messages(token, other), [])


def limited(world, server, admin, run):
    """The homeserver answers 429 with the time to wait; the module waits once."""
    user, token = server.register("slow")
    world.secret("the other token", token)
    room = server.room(token)
    server.limit(admin, user, 1, 1)
    with run({"MATRIX_HOMESERVER": server.url, "MATRIX_ACCESS_TOKEN": token}, [room]) as gateway:
        for text in ("first", "second"):
            world.gives(f"send under a limit of one a second: {text}", gateway.call("matrix_send", room=room, message=text), True)
    world.same("both arrived, each once", [event["content"]["body"] for event in server.messages(token, room)], ["first", "second"])
