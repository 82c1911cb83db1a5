"""grafana: against what Grafana documents of its HTTP API, with folders and data sources of others beside the agent's."""

import json

from kit import AUTH, INVALID, OUTSIDE, UNREACHABLE, UPSTREAM
from servers import grafana, recorder

TOOLS = [
    "list_dashboards",
    "get_dashboard",
    "list_datasources",
    "query_datasource",
    "create_dashboard",
    "update_dashboard",
    "delete_dashboard",
    "create_alert_rule",
]
PANEL = {
    "type": "timeseries",
    "title": "Load",
    "datasource": {"type": "prometheus", "uid": "prom1"},
    "targets": [{"refId": "A", "expr": "up"}],
}
FOREIGN = {
    "by uid": {"datasource": {"type": "postgres", "uid": "pg1"}},
    "by name": {"datasource": "Payroll"},
    "in a target": {"targets": [{"refId": "A", "datasource": {"uid": "pg1"}, "rawSql": "SELECT * FROM salaries"}]},
    "in a panel of a row": {"type": "row", "panels": [{"type": "table", "datasource": {"uid": "pg1"}}]},
}


def check(world):
    token = world.secret("GRAFANA_SERVICE_ACCOUNT_TOKEN", "glsa_9x8y7z6w5v4u3t2s1r0q_1a2b3c4d")
    with grafana.started(token) as (server, state):
        world.hidden.update([f"127.0.0.1:{server.port}", "prom.internal", "scraper"])
        env = {"GRAFANA_URL": server.url, "GRAFANA_SERVICE_ACCOUNT_TOKEN": token}
        run = lambda env=env, mode="write", **config: world.gateway({"grafana": {"mode": mode, "config": config}}, env)
        others = state.add_folder("agent-build-02")
        state.add_dashboard(others["uid"], "Theirs", "theirs", [PANEL])
        with run(allowed_datasources=["Prometheus", "Loki logs"]) as gateway:
            world.listed(gateway, *(f"grafana_{name}" for name in TOOLS))
            folder = dashboards(world, gateway, server, state)
            foreign(world, gateway, server, state)
            datasources(world, gateway, server)
            alerts(world, gateway, server, state, folder)
            races(world, gateway, state, folder)
        without_allowlist(world, run, state)
        paging(world, run, state, folder)
        with run(mode="read", allowed_datasources=["Prometheus"]) as gateway:
            world.listed(gateway, *(f"grafana_{name}" for name in TOOLS[:4]))
        with run({**env, "GRAFANA_SERVICE_ACCOUNT_TOKEN": world.secret("a wrong token", "glsa_wrong_0123456789")}) as gateway:
            world.refused("a wrong token", gateway.call("grafana_list_dashboards"), AUTH | UPSTREAM)
    with run() as gateway:
        world.refused("a server that is not there", gateway.call("grafana_list_dashboards"), UNREACHABLE)


def own(state):
    return [folder["uid"] for folder in state.folders.values() if folder["title"] == "agent-build-01"]


def dashboards(world, gateway, server, state):
    world.gives("no dashboards at first", gateway.call("grafana_list_dashboards"), [])
    made = world.value(gateway.call("grafana_create_dashboard", title="Größe", panels=[PANEL])) or {}
    world.same("one folder was made", len(own(state)), 1)
    folder, uid = own(state)[0], made.get("uid")
    saved = state.dashboards.get(uid, {"dashboard": {}, "folder": None})
    got = [saved["folder"], *(saved["dashboard"].get(key) for key in ("title", "panels", "schemaVersion", "version"))]
    world.same("create_dashboard: what is stored", got, [folder, "Größe", [PANEL], 38, 1])
    listed = world.value(gateway.call("grafana_list_dashboards")) or [{}]
    world.same("list_dashboards", [one.get("uid") for one in listed], [uid])
    whole = world.value(gateway.call("grafana_get_dashboard", uid=uid)) or {}
    world.same("get_dashboard", whole.get("dashboard", whole).get("title"), "Größe")
    state.dashboards[uid]["dashboard"]["tags"] = ["kept"]
    server.take()
    panels = [{**PANEL, "title": "Other"}]
    answer = gateway.call("grafana_update_dashboard", uid=uid, panels=panels)
    world.check("update_dashboard", None if not answer.is_error else answer.shown())
    stored = state.dashboards[uid]["dashboard"]
    world.same("update_dashboard: what is stored", (stored["panels"], stored["tags"], stored["version"]), (panels, ["kept"], 2))
    fetched = [one for one in server.take() if one.method == "GET" and recorder.path_of(one).endswith(f"/uid/{uid}")]
    world.same("update_dashboard fetches once", len(fetched), 1)
    world.gives("delete_dashboard", gateway.call("grafana_delete_dashboard", uid=uid), True)
    world.same("delete_dashboard: what is stored", list(state.dashboards), ["theirs"])
    server.take()
    return folder


def foreign(world, gateway, server, state):
    """Dashboards of another agent, and uids that are paths."""
    before = repr(state.dashboards)
    server.take()
    for tool, arguments in {"get_dashboard": {}, "update_dashboard": {"panels": []}, "delete_dashboard": {}}.items():
        world.refused(f"{tool} of another agent's", gateway.call(f"grafana_{tool}", uid="theirs", **arguments), OUTSIDE)
        for uid in ("../../admin", "theirs\n", "a/b", "x" * 41, "", "%2e%2e"):
            world.refused(f"{tool} of {uid[:12]!r}", gateway.call(f"grafana_{tool}", uid=uid, **arguments), INVALID | OUTSIDE)
        world.refused(
            f"{tool} of one that does not exist",
            gateway.call(f"grafana_{tool}", uid="nothing", **arguments),
            {"not_found"} | UPSTREAM | OUTSIDE,
        )
    for label, panel in FOREIGN.items():
        answer = gateway.call("grafana_create_dashboard", title=label, panels=[panel])
        world.refused(f"a panel with a data source of others, {label}", answer, OUTSIDE)
    world.same("nothing changed", repr(state.dashboards), before)
    world.same("nothing but reading was asked for", {one.method for one in server.take()}, {"GET"})


def datasources(world, gateway, server):
    expected = [
        {"uid": "loki1", "name": "Loki logs", "type": "loki", "isDefault": False},
        {"uid": "prom1", "name": "Prometheus", "type": "prometheus", "isDefault": True},
    ]
    listed = world.value(gateway.call("grafana_list_datasources")) or []
    world.same("list_datasources", sorted(listed, key=lambda one: one["name"]), expected)
    server.take()
    answer = world.value(gateway.call("grafana_query_datasource", datasource="Prometheus", query='up{job="ü"}')) or {}
    values = [frame["data"]["values"] for result in answer.get("results", {}).values() for frame in result["frames"]]
    world.same("query_datasource", values, [[[42]]])

    asked = [json.loads(one.body) for one in server.take() if one.method == "POST"]
    sent = [(one["datasource"]["uid"], one.get("expr"), one.get("refId")) for body in asked for one in body["queries"]]
    world.same("query_datasource: what was asked", sent, [("prom1", 'up{job="ü"}', "A")])
    for name in ("Payroll", "prometheus", "Prometheus\n", "../uid/pg1", "pg1"):
        world.refused(
            f"query_datasource of {name!r}", gateway.call("grafana_query_datasource", datasource=name, query="x"), OUTSIDE | INVALID
        )
    world.same("nothing was asked", server.take(), [])


def alerts(world, gateway, server, state, folder):
    data = [
        {"refId": "A", "datasourceUid": "prom1", "relativeTimeRange": {"from": 600, "to": 0}, "model": {"expr": "up"}},
        {"refId": "C", "datasourceUid": "__expr__", "model": {"type": "threshold", "expression": "A"}},
    ]
    answer = gateway.call("grafana_create_alert_rule", name="Höhe", condition={"data": data})
    world.check("create_alert_rule", None if not answer.is_error else answer.shown())
    rule = state.rules[-1] if state.rules else {}
    got = [rule.get(key) for key in ("title", "data", "folderUID", "ruleGroup", "for")]
    world.same("create_alert_rule: what is stored", got, ["Höhe", data, folder, "agent-build-01", "5m"])
    bad = [{**data[0], "datasourceUid": "pg1"}]
    world.refused(
        "an alert on a data source of others", gateway.call("grafana_create_alert_rule", name="x", condition={"data": bad}), OUTSIDE
    )
    world.same("it is not stored", len(state.rules), 1)


def races(world, gateway, state, folder):
    """Somebody else saves between reading and writing."""
    state.add_dashboard(folder, "Shared", "shared", [PANEL])

    def meanwhile():
        state.dashboards["shared"]["dashboard"].update(version=2, tags=["theirs"])

    state.disturb = meanwhile
    answer = gateway.call("grafana_update_dashboard", uid="shared", panels=[])
    stored = state.dashboards["shared"]["dashboard"]
    world.check("an update meets another's", None if not answer.is_error else answer.shown())
    world.same("both are kept", (stored["panels"], stored["tags"], stored["version"]), ([], ["theirs"], 3))


def without_allowlist(world, run, state):
    with run() as gateway:
        world.gives("list_datasources without an allowlist", gateway.call("grafana_list_datasources"), [])
        world.refused(
            "query_datasource without one", gateway.call("grafana_query_datasource", datasource="Prometheus", query="up"), OUTSIDE
        )
        before = len(state.dashboards)
        answer = gateway.call("grafana_create_dashboard", title="text only", panels=[{"type": "text", "options": {"content": "x"}}])
        world.check(
            "a panel without a data source", None if not answer.is_error and len(state.dashboards) == before + 1 else answer.shown()
        )
        world.refused("a panel with one", gateway.call("grafana_create_dashboard", title="x", panels=[PANEL]), OUTSIDE)


def paging(world, run, state, folder):
    """More folders than one answer of the server holds, in front of the agent's."""
    for number in range(grafana.PAGE_MAX + 5):
        state.add_folder(f"A {number}")
        state.add_dashboard(folder, f"D {number:05}", f"p{number}")
    with run() as gateway:
        listed = world.value(gateway.call("grafana_list_dashboards")) or []
        mine = sum(saved["folder"] == folder for saved in state.dashboards.values())
        world.same("all dashboards of several pages are listed", len(listed), mine)
        world.same("the folder is found on its page, not made again", own(state), [folder])
