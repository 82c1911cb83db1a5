"""slack_webhook: a server of ours that holds the request to what Slack documents."""

from checks import webhook
from kit import INVALID, LIMIT

CONFIG = {"any_host": True}
NAME, SEND = "SLACK_WEBHOOK_URL", "slack_webhook_send"


def check(world):
    with webhook.over_tls(world, NAME, CONFIG) as (gateway, server, status):
        world.listed(gateway, SEND)
        for label, text in {
            "plain": "done",
            "every script": "Grüße, 世界 👩‍🚀\nzwei",
            "40,000 characters": "ü" * 40_000,
            "quotes": '{"text": "x"}',
        }.items():
            world.gives(f"send: {label}", gateway.call(SEND, text=text), True)
            world.same(f"as it arrived: {label}", webhook.posted(server.one()), {"text": text})
        for word in ("<!channel>", "<!here>", "<!everyone>", "<@U024BE7LH>", "<!subteam^S012>"):
            world.gives(f"send: {word}", gateway.call(SEND, text=f"hi {word} there"), True)
            sent = webhook.posted(server.one())["text"]
            world.check(
                f"{word} does not call anybody", None if word not in sent and "hi" in sent and "there" in sent else f"sent {sent!r}"
            )
        world.refused("empty", gateway.call(SEND, text=""), INVALID)
        world.refused("40,001 characters", gateway.call(SEND, text="x" * 40_001), LIMIT | INVALID)
        world.same("nothing of it was sent", server.take(), [])
        webhook.faults(world, gateway, server, status, {"text": "x"})
    with webhook.over_tls(world, NAME, {**CONFIG, "allow_mentions": True}) as (gateway, server, status):
        gateway.call(SEND, text="hi <!channel>")
        world.same("mentions where they are allowed", webhook.posted(server.one()), {"text": "hi <!channel>"})
    webhook.untrusted(world, NAME, CONFIG, {"text": "x"})
