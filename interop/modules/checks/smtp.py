"""smtp: mail to Exim, read from its files; refusals that must leave no trace there."""

import email
import email.policy

from kit import AUTH, INVALID, LIMIT, OUTSIDE, UNREACHABLE, UPSTREAM
from servers import certificate, smtp

SENDER, BOX = "agent@mail.test", "ops@mail.test"
CONFIG = {"from_address": SENDER, "allowed_recipients": [BOX, "Team.Lead@mail.test"]}
REFUSED = AUTH | UPSTREAM | {"upstream_protocol", "policy_denied"}
BODIES = {
    "plain": "one\ntwo\n",
    "a lone dot": "before\n.\nafter\n",
    "dots": "..\n.a\n...\n",
    "no end of line": "one",
    "empty": "",
    "every script": "Grüße, мир, 世界, 👩‍🚀\n",
    "carriage returns": "a\r\nb\r\n",
    "a header like line": "From: x\nFrom here on\nSubject: y\n",
    "a long line": "x" * 5000 + "\n",
    "a long line of ü": "ü" * 3000 + "\n",
    "spaces at the end": "a  \n\tb\t\n",
    "blank lines": "\n\na\n\n\n",
    "commands": "QUIT\r\n.\r\nMAIL FROM:<x@mail.test>\r\n",
    "256 KiB": ("y" * 63 + "\n") * 4096,
}
SUBJECTS = {
    "plain": "Build done",
    "every script": "Grüße, мир, 世界 👩‍🚀",
    "long": "wort " * 60,
    "long non-ASCII": "größe " * 60,
    "looks encoded": "=?utf-8?q?x?=",
}
STRANGERS = [
    "eve@mail.test",
    "OPS@mail.test",
    "ops@mail.test ",
    " ops@mail.test",
    "Ops <ops@mail.test>",
    "<ops@mail.test>",
    "ops@mail.test,eve@mail.test",
    "ops@mail.test\r\nBcc: eve@mail.test",
    "ops@mail.test\r\nRCPT TO:<eve@mail.test>",
    "ops@mail.test\0",
    "ops@mail.test.",
    "",
]


def check(world):
    password = world.secret("SMTP_PASSWORD", "Sesam-öffne-dich-4711-wirklich")
    with smtp.started(world.cache, SENDER, password) as server:
        trust = {"SSL_CERT_FILE": str(server.certificate)}
        account = {"SMTP_USER": SENDER, "SMTP_PASSWORD": password, **trust}
        at = lambda port, **more: {"SMTP_HOST": "localhost", "SMTP_PORT": str(port), **account, **more}
        run = lambda env, **config: world.gateway({"smtp": {"mode": "write", "config": {**CONFIG, **config}}}, env)
        with run(at(server.port)) as gateway:
            world.listed(gateway, "smtp_send")
            arrives(world, gateway, server)
            refusals(world, gateway, server)
        world.check("Exim saw AUTH under TLS for every mail", secured(smtp.log(server)))
        with run(at(server.implicit), tls="implicit") as gateway:
            sent(world, gateway, server, "TLS from the first byte")
        count = len(smtp.mails(server))
        with run(at(server.port, SMTP_PASSWORD=world.secret("the wrong password", "falsch-4711-abcdef"))) as gateway:
            answer = gateway.call("smtp_send", to=BOX, subject="s", body="b")
            world.refused("a wrong password", answer, AUTH)
            world.check("within the limit of 20 s", None if answer.seconds < 21 else f"{answer.seconds:.0f} s")
        with run(at(server.bare)) as gateway:
            world.refused("a server without STARTTLS", gateway.call("smtp_send", to=BOX, subject="s", body="b"), REFUSED)
        world.check("it got no AUTH in the clear", cleartext(smtp.log(server), server.bare))
        with run(at(server.port, SSL_CERT_FILE=str(certificate.localhost(world.work, "other")[0]))) as gateway:
            answer = gateway.call("smtp_send", to=BOX, subject="s", body="b")
            world.refused("an untrusted certificate", answer, REFUSED | UNREACHABLE)
        world.same("none of them brought mail", len(smtp.mails(server)), count)
    gone = {name: value for name, value in at(server.port).items() if name != "SSL_CERT_FILE"}
    with run(gone) as gateway:
        world.refused("a server that is not there", gateway.call("smtp_send", to=BOX, subject="s", body="b"), UNREACHABLE)
    without_account(world)


def without_account(world):
    with smtp.started(world.cache, SENDER, "unused", bare_open=True) as server:
        env = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(server.bare), "SMTP_USER": "", "SMTP_PASSWORD": ""}
        with world.gateway({"smtp": {"mode": "write", "config": {**CONFIG, "tls": "none", "auth": "none"}}}, env) as gateway:
            sent(world, gateway, server, "no account, no TLS, to loopback")


def sent(world, gateway, server, label, to=BOX, subject="s", body="b\n"):
    """Sends one mail and holds what was delivered to it."""
    before = len(smtp.mails(server))
    if not world.gives(f"send: {label}", gateway.call("smtp_send", to=to, subject=subject, body=body), True):
        return
    found = smtp.mails(server, before + 1)[before:]
    if len(found) != 1:
        return world.check(f"delivered: {label}", f"{len(found)} mails")
    mail = email.message_from_bytes(found[0], policy=email.policy.default)
    text = mail.get_content() if not mail.is_multipart() else None
    got = (
        mail["envelope-to"],
        mail["return-path"].strip("<>"),
        mail["from"],
        mail["to"],
        mail["subject"],
        mail.get_content_type(),
        lines(text),
    )
    world.same(f"delivered: {label}", got, (to, SENDER, SENDER, to, subject, "text/plain", lines(body)))
    flaws = [str(flaw) for part in mail.walk() for flaw in part.defects]
    once = [name for name in ("date", "message-id", "from", "to", "subject", "mime-version") if len(mail.get_all(name, [])) != 1]
    world.check(f"well formed: {label}", None if not flaws and not once else f"{flaws}, not exactly once: {once}")


def lines(text):
    """Mail knows lines, each with an end: a last one is completed, every kind of end is one."""
    return (text or "").replace("\r\n", "\n").rstrip("\n") if text is not None else None


def arrives(world, gateway, server):
    for label, body in BODIES.items():
        sent(world, gateway, server, f"body: {label}", body=body)
    for label, subject in SUBJECTS.items():
        sent(world, gateway, server, f"subject: {label}", subject=subject.strip())
    sent(world, gateway, server, "to the second recipient", to="Team.Lead@mail.test")
    before = len(smtp.mails(server))
    world.gives("the domain in another case", gateway.call("smtp_send", to="ops@MAIL.test", subject="s", body="b"), True)
    world.same("it is delivered", len(smtp.mails(server, before + 1)), before + 1)


def refusals(world, gateway, server):
    before = len(smtp.mails(server))
    for stranger in STRANGERS:
        world.refused(f"to {stranger!r}", gateway.call("smtp_send", to=stranger, subject="s", body="b"), OUTSIDE | INVALID)
    for label, subject in {"CR LF": "a\r\nBcc: eve@mail.test", "LF": "a\nb", "CR": "a\rb"}.items():
        world.refused(f"subject with {label}", gateway.call("smtp_send", to=BOX, subject=subject, body="b"), INVALID)
    world.refused("a body over 256 KiB", gateway.call("smtp_send", to=BOX, subject="s", body="x" * ((256 << 10) + 1)), LIMIT)
    world.same("no mail came of it", len(smtp.mails(server)), before)
    world.check("Exim heard of no stranger", "eve is in its log" if "eve" in smtp.log(server) else None)


def secured(log):
    accepted = [line for line in log.splitlines() if " <= " in line]
    bare = [line for line in accepted if "P=esmtpsa" not in line or f"A=plain:{SENDER}" not in line and f"A=login:{SENDER}" not in line]
    return None if accepted and not bare else f"{len(accepted)} mails; not so: {bare[:2]}"


def cleartext(log, port):
    ended = [line for line in log.splitlines() if f":{port} " in line and "C=EHLO" in line]
    return f"{ended[:2]}" if any("AUTH" in line for line in ended) else None
