"""The part of Grafana's HTTP API that the module uses, as its documentation describes it: no registry has a package of the server.

python3 servers/grafana.py         starts one, prints where it is and its token
"""

import contextlib
import copy
import json
import pathlib
import sys
import urllib.parse

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[2])]
from servers import recorder

PAGE_MAX = 1000
DATASOURCES = [
    {
        "id": 1,
        "uid": "prom1",
        "name": "Prometheus",
        "type": "prometheus",
        "url": "http://prom.internal:9090",
        "user": "grafana",
        "isDefault": True,
        "basicAuthUser": "scraper",
        "jsonData": {"httpHeaderName1": "X-Scope"},
        "database": "",
    },
    {
        "id": 2,
        "uid": "loki1",
        "name": "Loki logs",
        "type": "loki",
        "url": "http://loki.internal:3100",
        "user": "",
        "isDefault": False,
        "jsonData": {},
    },
    {
        "id": 3,
        "uid": "pg1",
        "name": "Payroll",
        "type": "postgres",
        "url": "db.internal:5432",
        "user": "payroll",
        "isDefault": False,
        "jsonData": {},
    },
]


class Grafana:
    def __init__(self, token):
        self.token, self.folders, self.dashboards, self.rules, self.number = token, {}, {}, [], 0
        self.disturb = None  # called once before the next save, to play another user

    def answer(self, request):
        if recorder.header(request, "authorization") != f"Bearer {self.token}":
            return recorder.as_json({"message": "Invalid API key"}, 401)
        path, query = recorder.path_of(request), dict(recorder.query_of(request))
        body = json.loads(request.body) if request.body else None
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        for method, shape, handle in self.routes():
            if method == request.method and len(shape) == len(parts) and all(want in ("*", got) for want, got in zip(shape, parts)):
                found = handle([got for want, got in zip(shape, parts) if want == "*"], query, body)
                return recorder.as_json(found[1], found[0]) if isinstance(found, tuple) else recorder.as_json(found)
        return recorder.as_json({"message": "Not found"}, 404)

    def routes(self):
        split = lambda path: path.strip("/").split("/")
        return [
            ("GET", split("api/folders"), self.list_folders),
            ("POST", split("api/folders"), self.make_folder),
            ("GET", split("api/folders/*"), self.folder),
            ("GET", split("api/search"), self.search),
            ("GET", split("api/dashboards/uid/*"), self.dashboard),
            ("DELETE", split("api/dashboards/uid/*"), self.delete),
            ("POST", split("api/dashboards/db"), self.save),
            ("GET", split("api/datasources"), lambda *_: DATASOURCES),
            ("GET", split("api/datasources/name/*"), lambda a, *_: self.datasource("name", a[0])),
            ("GET", split("api/datasources/uid/*"), lambda a, *_: self.datasource("uid", a[0])),
            ("POST", split("api/ds/query"), self.query),
            ("POST", split("api/v1/provisioning/alert-rules"), self.rule),
        ]

    def page(self, rows, query):
        limit, page = min(int(query.get("limit", PAGE_MAX)), PAGE_MAX), int(query.get("page", 1))
        return rows[(page - 1) * limit : page * limit]

    def add_folder(self, title, uid=None):
        self.number += 1
        uid = uid or f"f{self.number}"
        self.folders[uid] = {"id": self.number, "uid": uid, "title": title}
        return self.folders[uid]

    def add_dashboard(self, folder, title, uid, panels=()):
        self.number += 1
        model = {"id": self.number, "uid": uid, "title": title, "panels": list(panels), "version": 1, "schemaVersion": 38, "tags": ["kept"]}
        self.dashboards[uid] = {"dashboard": model, "folder": folder}

    def list_folders(self, _, query, __):
        return self.page(sorted(self.folders.values(), key=lambda folder: folder["title"]), query)

    def folder(self, names, *_):
        return self.folders.get(names[0]) or (404, {"message": "folder not found"})

    def make_folder(self, _, __, body):
        if body.get("uid") in self.folders:
            return 412, {"message": "the folder has been changed by someone else"}
        return self.add_folder(body["title"], body.get("uid"))

    def search(self, _, query, __):
        uid = query.get("folderUIDs")
        found = [saved["dashboard"] for saved in self.dashboards.values() if uid is None or saved["folder"] == uid]
        rows = [{"id": one["id"], "uid": one["uid"], "title": one["title"], "type": "dash-db", "folderUid": uid} for one in found]
        return self.page(sorted(rows, key=lambda row: row["title"]), query)

    def dashboard(self, names, *_):
        saved = self.dashboards.get(names[0])
        if not saved:
            return 404, {"message": "Dashboard not found"}
        return {
            "meta": {"folderUid": saved["folder"], "version": saved["dashboard"]["version"]},
            "dashboard": copy.deepcopy(saved["dashboard"]),
        }

    def delete(self, names, *_):
        return {"title": "gone"} if self.dashboards.pop(names[0], None) else (404, {"message": "Dashboard not found"})

    def save(self, _, __, body):
        if self.disturb:
            disturb, self.disturb = self.disturb, None
            disturb()
        model, folder, overwrite = dict(body["dashboard"]), body.get("folderUid", ""), body.get("overwrite", False)
        if folder not in self.folders:
            return 400, {"message": "folder not found"}
        old = self.dashboards.get(model.get("uid"))
        if old and not overwrite and model.get("version") != old["dashboard"]["version"]:
            return 412, {"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
        names = [
            saved["dashboard"]["title"] for uid, saved in self.dashboards.items() if saved["folder"] == folder and uid != model.get("uid")
        ]
        if model["title"] in names and not overwrite:
            return 412, {"status": "name-exists", "message": "A dashboard with the same name in the folder already exists"}
        self.number += 1
        model["uid"], model["id"] = model.get("uid") or f"d{self.number}", model.get("id") or self.number
        model["version"] = old["dashboard"]["version"] + 1 if old else 1
        self.dashboards[model["uid"]] = {"dashboard": model, "folder": folder}
        return {
            "id": model["id"],
            "uid": model["uid"],
            "url": f"/d/{model['uid']}/x",
            "status": "success",
            "version": model["version"],
            "slug": "x",
        }

    def datasource(self, key, value):
        return next((one for one in DATASOURCES if one[key] == value), None) or (404, {"message": "Data source not found"})

    def query(self, _, __, body):
        frames = [
            {"schema": {"refId": one.get("refId"), "fields": [{"name": "Value", "type": "number"}]}, "data": {"values": [[42]]}}
            for one in body["queries"]
        ]
        return {"results": {one.get("refId", "A"): {"status": 200, "frames": [frame]} for one, frame in zip(body["queries"], frames)}}

    def rule(self, _, __, body):
        self.rules.append(body)
        return 201, {**body, "uid": f"r{len(self.rules)}", "id": len(self.rules)}


@contextlib.contextmanager
def started(token):
    """(recorder, Grafana)"""
    grafana = Grafana(token)
    with recorder.started(grafana.answer) as server:
        yield server, grafana


if __name__ == "__main__":
    with started("glsa_secret") as (running, _):
        print(running.url, "glsa_secret", flush=True)
        sys.stdin.read()
