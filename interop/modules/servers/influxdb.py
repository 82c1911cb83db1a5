"""InfluxDB. No registry has a package of version 2, so the parts of it that can be had are put together behind its HTTP API:

- line protocol is written to influxd 1.6.7 (Debian package influxdb) and read back from it;
- Flux is read by InfluxData's own parser and type checker (npm package @influxdata/flux-lsp-browser);
- answers in annotated CSV are read by InfluxData's own client (PyPI package influxdb-client) for comparison.

    python3 servers/influxdb.py        starts one, prints where it is and its token
"""

import contextlib
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[2])]
import install
from servers import recorder
from upstreams import free_port, http_status, process, wait_until

HERE = pathlib.Path(__file__).resolve().parent
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ANSWER_SECONDS = 30
ORG, ORG_ID = "ops team", "00c0ffee00c0ffee"
READ_CSV = """
import json, sys
from influxdb_client.client.flux_csv_parser import FluxCsvParser, FluxSerializationMode
import io
class Answer(io.BytesIO):
    def release_conn(self): pass
parser = FluxCsvParser(Answer(sys.stdin.buffer.read()), FluxSerializationMode.tables)
list(parser.generator())
rows = [record.values for table in parser.tables for record in table.records]
print(json.dumps(rows, default=lambda value: {"time": value.timestamp()}))
"""


def flux_folder(cache):
    def make(folder):
        package = install.npm(cache, "modules-flux-npm", "@influxdata/flux-lsp-browser@0.8.40") / "@influxdata/flux-lsp-browser"
        shutil.copytree(package, folder, dirs_exist_ok=True)
        # Written for bundlers: node takes it as modules when told so.
        (folder / "package.json").write_text('{"type": "module"}')

    return install.once(cache / "modules-flux", "@influxdata/flux-lsp-browser from npm", make)


def fetch(cache):
    flux_folder(cache)
    install.venv(cache, "modules-influxdb-client", "influxdb-client==1.50.0")
    return install.debian(cache, "modules-influxdb", "influxdb")


@contextlib.contextmanager
def flux_reader(cache):
    """A function from {"flux", "params", "extern"} and rows to what the query means: see flux.mjs."""
    folder = flux_folder(cache)
    shutil.copy(HERE / "flux.mjs", folder)
    command = [install.program("node"), "--no-warnings", "--experimental-wasm-modules", folder / "flux.mjs"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def understood(query, rows=()):
        child.stdin.write(json.dumps({**query, "rows": list(rows)}).encode() + b"\n")
        child.stdin.flush()
        line = child.stdout.readline()
        if not line:
            raise AssertionError("flux.mjs ended")
        return json.loads(line)

    try:
        yield understood
    finally:
        child.stdin.close()
        child.wait(10)


def read_csv(cache, text):
    """The rows of an answer, as InfluxData's client reads them."""
    python = install.venv(cache, "modules-influxdb-client", "influxdb-client==1.50.0") / "python"
    done = subprocess.run([python, "-c", READ_CSV], input=text.encode(), capture_output=True, timeout=60, check=True)
    return json.loads(done.stdout)


def name(text):
    """An identifier of InfluxQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Influx:
    def __init__(self, token, port):
        self.token, self.url = token, f"http://127.0.0.1:{port}"
        self.csv, self.queries, self.buckets, self.deleted = "\r\n", [], [], []

    def ask(self, path, body=None, **query):
        """(status, body) of influxd itself."""
        request = urllib.request.Request(f"{self.url}{path}?{urllib.parse.urlencode(query)}", data=body)
        try:
            with NO_PROXY.open(request, timeout=ANSWER_SECONDS) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def influxql(self, database, statement):
        status, body = self.ask("/query", b"", db=database, q=statement, epoch="ns")
        if status != 200 or b'"error"' in body:
            raise AssertionError(f"{statement}: {body.decode()[:300]}")
        return [series for result in json.loads(body)["results"] for series in result.get("series", [])]

    def points(self, database, measurement):
        """[(tags, fields, time)] as stored; fields that a point lacks are left out."""
        found = []
        for series in self.influxql(database, f"SELECT * FROM {name(measurement)} GROUP BY *"):
            tags = {key: value for key, value in series.get("tags", {}).items() if value}
            for values in series["values"]:
                row = dict(zip(series["columns"], values))
                found.append((tags, {key: value for key, value in row.items() if key != "time" and value is not None}, row["time"]))
        return found

    def answer(self, request):
        if recorder.header(request, "authorization") != f"Token {self.token}":
            return recorder.as_json({"code": "unauthorized", "message": "unauthorized access"}, 401)
        query = dict(recorder.query_of(request))
        handle = {
            ("POST", "/api/v2/write"): self.write,
            ("POST", "/api/v2/query"): self.query,
            ("GET", "/api/v2/orgs"): self.orgs,
            ("POST", "/api/v2/buckets"): self.make_bucket,
            ("GET", "/api/v2/buckets"): self.list_buckets,
            ("POST", "/api/v2/delete"): self.delete,
        }.get((request.method, recorder.path_of(request)))
        if not handle:
            return recorder.as_json({"code": "not found", "message": "path not found"}, 404)
        if query.get("org", ORG) != ORG or query.get("orgID", ORG_ID) != ORG_ID:
            return recorder.as_json({"code": "not found", "message": "organization not found"}, 404)
        body = gzip.decompress(request.body) if recorder.header(request, "content-encoding") == "gzip" else request.body
        return handle(request, query, body)

    def write(self, _, query, body):
        precision = {"ns": "n", "us": "u", "ms": "ms", "s": "s"}[query.get("precision", "ns")]
        status, said = self.ask("/write", body, db=query["bucket"], precision=precision)
        return (204, {}, b"") if status == 204 else recorder.as_json({"code": "invalid", "message": said.decode()}, status)

    def query(self, request, _, body):
        kind = (recorder.header(request, "content-type") or "").split(";")[0]
        said = {"query": body.decode()} if kind == "application/vnd.flux" else json.loads(body)
        self.queries.append({"flux": said["query"], "params": said.get("params"), "extern": said.get("extern")})
        return 200, {"content-type": "text/csv; charset=utf-8"}, self.csv.encode()

    def orgs(self, *_):
        return recorder.as_json({"orgs": [{"id": ORG_ID, "name": ORG}]})

    def make_bucket(self, _, __, body):
        said = json.loads(body)
        if any(one["name"] == said["name"] for one in self.buckets):
            return recorder.as_json({"code": "conflict", "message": f"bucket with name {said['name']} already exists"}, 422)
        self.buckets.append(said)
        self.influxql("", f"CREATE DATABASE {name(said['name'])}")
        return recorder.as_json({**said, "id": f"{len(self.buckets):016x}"}, 201)

    def list_buckets(self, _, query, __):
        found = [{**one, "id": f"{number + 1:016x}"} for number, one in enumerate(self.buckets)]
        return recorder.as_json({"buckets": [one for one in found if query.get("name", one["name"]) == one["name"]]})

    def delete(self, _, query, body):
        said = json.loads(body)
        self.deleted.append({**said, "bucket": query["bucket"]})
        measurement = said["predicate"].split("=", 1)[1].strip().strip('"')
        # Version 2 takes RFC 3339 only, and so does InfluxQL.
        self.influxql(query["bucket"], f"DELETE FROM {name(measurement)} WHERE time >= '{said['start']}' AND time <= '{said['stop']}'")
        return 204, {}, b""


@contextlib.contextmanager
def started(cache, work, token, databases):
    """(recorder, Influx)"""
    root = fetch(cache)
    port, rpc = free_port(), free_port()
    work.mkdir(parents=True, exist_ok=True)
    log = work / "influxd.log"
    (work / "influxd.conf").write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{work}/meta"
[data]
dir = "{work}/data"
wal-dir = "{work}/wal"
[http]
bind-address = "127.0.0.1:{port}"
""")
    command = [root / "usr/bin/influxd", "-config", work / "influxd.conf"]
    with process(command, log, {"PATH": os.environ["PATH"], "HOME": str(work)}, work) as child:
        wait_until(lambda: http_status(port, "/ping") == 204, child, "influxd", log)
        influx = Influx(token, port)
        for database in databases:
            influx.influxql("", f"CREATE DATABASE {name(database)}")
        with recorder.started(influx.answer) as server, flux_reader(cache) as influx.understood:
            yield server, influx


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, started(install.default_cache(), pathlib.Path(folder), "secret", ["ops"]) as (running, _):
        print(running.url, "secret", flush=True)
        sys.stdin.read()
