"""discord_webhook: a server of ours that holds the request to what Discord documents."""

from checks import webhook
from kit import INVALID

CONFIG = {"any_host": True}
NAME, SEND = "DISCORD_WEBHOOK_URL", "discord_webhook_send"
NOBODY = {"parse": []}


def check(world):
    with webhook.over_tls(world, NAME, CONFIG) as (gateway, server, status):
        world.listed(gateway, SEND)
        status.update(now=204, body=b"")  # what Discord answers
        texts = {
            "plain": "done",
            "every script": "Grüße, 世界 👩‍🚀\nzwei",
            "2,000 characters": "ü" * 2_000,
            "a mention": "hi @everyone <@80351110224678912>",
        }
        for label, text in texts.items():
            world.gives(f"send: {label}", gateway.call(SEND, content=text), True)
            world.same(f"as it arrived: {label}", webhook.posted(server.one()), {"content": text, "allowed_mentions": NOBODY})
        world.gives("send: 2,001 characters", gateway.call(SEND, content="ü" * 2_001), True)
        world.same("cut to 2,000", webhook.posted(server.one()).get("content"), "ü" * 1_997 + "...")
        world.refused("empty", gateway.call(SEND, content=""), INVALID)
        world.same("nothing of it was sent", server.take(), [])
        webhook.faults(world, gateway, server, status, {"content": "x"})
    with webhook.over_tls(world, NAME, {**CONFIG, "allow_mentions": True}) as (gateway, server, status):
        gateway.call(SEND, content="hi @everyone")
        sent = webhook.posted(server.one())
        world.check(
            "mentions where they are allowed",
            None if sent["content"] == "hi @everyone" and sent.get("allowed_mentions") != NOBODY else f"{sent}",
        )
    webhook.untrusted(world, NAME, CONFIG, {"content": "x"})
