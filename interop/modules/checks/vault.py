"""Credentials from OpenBao by AppRole: what it holds reaches the service and nobody else; tokens are renewed; refusals stop the start."""

import time

from gateway import GatewayError, NoModule
from kit import World
from servers import recorder, vault

AGENT = ("build-01", "build")
LEASE_SECONDS = 6
# Renewed at two thirds of its lease, a token lives on after this.
LATER_SECONDS = 9


def check(world):
    token = world.secret("NTFY_TOKEN", "tk_vault_5d1c8e3b7a9f2460")
    unused = world.secret("a key no module asked for", "unused-8c1f3e5a7b9d")
    with vault.started(world.cache, world.work / "bao") as server, recorder.started(lambda request: recorder.as_json({})) as ntfy:
        world.secret("the root token", server.root)
        secret = {"NTFY_URL": ntfy.url, "NTFY_TOKEN": token, "OTHER_KEY": unused}
        server.ask("POST", "secret/data/scoped-mcp/build", {"data": secret})
        server.ask("POST", "secret/data/other", {"data": {"NTFY_URL": ntfy.url}})
        server.ask("POST", "kv1/scoped-mcp/build", secret)
        allowed = ["secret/data/scoped-mcp/build", "kv1/scoped-mcp/build"]
        role, secret_id = server.role("agent", allowed, token_ttl=f"{LEASE_SECONDS}s", token_max_ttl="1h")
        world.secret("the secret id", secret_id)
        account = {"VAULT_ROLE_ID": role, "VAULT_SECRET_ID": secret_id}
        works(world, server, ntfy, account, token)
        refusals(world, server, account)


def run(world, server, env, path="scoped-mcp/{agent_type}", **more):
    source = {"source": "vault", "vault": {"addr": server.url, "auth": "approle", "path": path, **more}}
    return world.gateway({"ntfy": {"mode": "write"}}, env, agent=AGENT, credentials=source)


def works(world: World, server, ntfy, account, token):
    with run(world, server, account) as gateway:
        world.gives("a send with what the vault holds", gateway.call("ntfy_send", title="t", message="m"), True)
        world.same("the token reached the service", recorder.header(ntfy.one(), "authorization"), f"Bearer {token}")
        before = server.tokens("agent")
        world.same("one token was taken", len(before), 1)
        time.sleep(LATER_SECONDS)
        after = server.tokens("agent")
        alive = [data["ttl"] for key, data in after.items() if key in before]
        world.check("it is renewed before its lease ends", None if alive and alive[0] > 0 else f"tokens now: {len(after)}")
        world.gives("a send after that", gateway.call("ntfy_send", title="t", message="m"), True)
        ntfy.take()
    renamed = {"MY_ROLE": account["VAULT_ROLE_ID"], "MY_SECRET": account["VAULT_SECRET_ID"]}
    with run(world, server, renamed, role_id_env="MY_ROLE", secret_id_env="MY_SECRET") as gateway:
        world.gives("role and secret id from variables of other names", gateway.call("ntfy_send", title="t", message="m"), True)
        world.same("the same token", recorder.header(ntfy.one(), "authorization"), f"Bearer {token}")


def refusals(world, server, account):
    """The program must end with a reason, and without a secret in it."""
    wrong = world.secret("a wrong secret id", "11111111-2222-3333-4444-555555555555")
    starts = {
        "a wrong secret id": ({**account, "VAULT_SECRET_ID": wrong}, {}),
        "no secret id": ({"VAULT_ROLE_ID": account["VAULT_ROLE_ID"]}, {}),
        "a path that the policy denies": (account, {"path": "other"}),
        "a path that does not exist": (account, {"path": "scoped-mcp/none"}),
        "a path with ..": (account, {"path": "scoped-mcp/../other"}),
    }
    for label, (env, more) in starts.items():
        gateway = run(world, server, env, **more)
        try:
            with gateway:
                world.check(f"{label} stops the start", "it started")
        except NoModule:
            raise
        except GatewayError as error:
            world.check(f"{label} stops the start", None if "ended with 0" not in str(error) else str(error))
    logs = b"".join(file.read_bytes() for file in world.work.glob("gateway-*/stderr.log"))
    found = [name for name, secret in world.secrets.items() if secret.encode() in logs]
    world.check("no secret in what those starts said", f"{found}" if found else None)
