"""influxdb: points as influxd stores them, Flux as InfluxData's parser reads it, answers as its client reads them."""

import datetime
import re

from kit import AUTH, INVALID, LIMIT, OUTSIDE, UNREACHABLE, UPSTREAM
from servers import influxdb

TOOLS = ["query", "list_measurements", "get_schema", "write_points", "create_bucket", "delete_points"]
BUCKETS = ["ops", 'odd "name" ü & #1+2']
# Odd in every way that text can be: quotes, escapes, interpolation, regex, not ASCII.
TEXTS = ["plain", 'a"b', "a\\b", "${1 + 1}", "$ {x}", "a\nb\tc", "Grüße 世界 👩‍🚀", 'x") |> drop() //', "a/b", "\\x24{y}", "\x01"]
ROWS = [{"id": number, "_measurement": "cpu", "_field": "load", "host": text, "_value": number} for number, text in enumerate(TEXTS)]
FILTERS = {
    "equal": ([{"field": "_measurement", "op": "==", "value": "cpu"}], "and", lambda row: True),
    "not equal": ([{"field": "host", "op": "!=", "value": "plain"}], "and", lambda row: row["host"] != "plain"),
    "numbers": (
        [{"field": "_value", "op": ">=", "value": 2}, {"field": "_value", "op": "<", "value": 4.5}],
        "and",
        lambda row: 2 <= row["_value"] < 4.5,
    ),
    "or": (
        [{"field": "_value", "op": "==", "value": 1}, {"field": "_value", "op": ">", "value": 8}],
        "or",
        lambda row: row["_value"] == 1 or row["_value"] > 8,
    ),
    "negative": ([{"field": "_value", "op": ">", "value": -1}], "and", lambda row: True),
    "regex": ([{"field": "host", "op": "=~", "value": "^a/b$"}], "and", lambda row: row["host"] == "a/b"),
    "not regex": ([{"field": "host", "op": "!~", "value": "^(plain|a/b)$"}], "and", lambda row: row["host"] not in ("plain", "a/b")),
}
BAD_FILTERS = {
    "none": [],
    "an unknown operator": [{"field": "a", "op": "=", "value": 1}],
    "a field that is no name": [{"field": "a b", "op": "==", "value": 1}],
    "a line break after the field": [{"field": "a\n", "op": "==", "value": 1}],
    "Flux as a field": [{"field": 'a"] or true', "op": "==", "value": 1}],
    "an object as a value": [{"field": "a", "op": "==", "value": {}}],
    "a long regex": [{"field": "a", "op": "=~", "value": "x" * 257}],
}
CSV = """#datatype,string,long,dateTime:RFC3339,double,string,string,boolean
#group,false,false,false,false,true,true,false
#default,_result,,,,,,
,result,table,_time,_value,_field,host,up
,,0,2024-05-01T10:00:00Z,1.5,load,"a,b",true
,,0,2024-05-01T10:00:01.5Z,,load,"say ""hi""\nthere",false

#datatype,string,long,dateTime:RFC3339,long,unsignedLong,string
#group,false,false,false,false,false,true
#default,_result,,,7,,
,result,table,_time,count,big,text
,,1,2024-05-01T10:00:02Z,9007199254740993,18446744073709551615,Grüße
,,1,2024-05-01T10:00:03Z,,1,

""".replace("\n", "\r\n").replace("\r\nthere", "\nthere")
NAMES = """#datatype,string,long,string
#group,false,false,false
#default,_result,,
,result,table,_value
,,0,cpu
,,0,mem

""".replace("\n", "\r\n")


def check(world):
    token = world.secret("INFLUXDB_TOKEN", "tok3n-AbCdEf0123456789-_x==")
    with influxdb.started(world.cache, world.work / "influxd", token, BUCKETS) as (server, influx):
        world.hidden.update([f"127.0.0.1:{server.port}", influx.url.removeprefix("http://")])
        env = {"INFLUXDB_URL": server.url, "INFLUXDB_TOKEN": token}
        run = lambda env=env, mode="write": world.gateway(
            {"influxdb": {"mode": mode, "config": {"org": influxdb.ORG, "buckets": BUCKETS}}}, env
        )
        with run() as gateway:
            world.listed(gateway, *(f"influxdb_{name}" for name in TOOLS))
            writes(world, gateway, server, influx)
            flux(world, gateway, influx)
            answers(world, gateway, influx)
            buckets(world, gateway, server, influx)
            deletes(world, gateway, server, influx)
        with run(mode="read") as gateway:
            world.listed(gateway, *(f"influxdb_{name}" for name in TOOLS[:3]))
        with run({**env, "INFLUXDB_TOKEN": world.secret("a wrong token", "wrong-AbCdEf0123456789")}) as gateway:
            world.refused("a wrong token", gateway.call("influxdb_list_measurements", bucket="ops"), AUTH | UPSTREAM)
    with run() as gateway:
        world.refused("a server that is not there", gateway.call("influxdb_list_measurements", bucket="ops"), UNREACHABLE)


def writes(world, gateway, server, influx):
    write = lambda points, **more: gateway.call("influxdb_write_points", **{"bucket": "ops", "measurement": "m", **more}, points=points)
    cases = {
        "numbers": ({}, {"i": 7, "f": 1.5, "n": -3, "big": 9223372036854775807, "b": True}, 1),
        "text": ({}, {f"s{number}": text for number, text in enumerate(TEXTS) if "\n" not in text}, 2),
        "tags": ({"host": "web 1", "eq": "a=b", "comma": "a,b", "uni": "Grüße", "quote": 'a"b', "back": "C:\\dir\\x"}, {"v": 1}, 3),
    }
    for label, (tags, fields, when) in cases.items():
        world.gives(f"write_points: {label}", write([{"tags": tags, "fields": fields, "time": when}], measurement=f"m-{label}"), True)
        world.same(f"as influxd stores them: {label}", influx.points("ops", f"m-{label}"), [(tags, fields, when)])
    world.gives(
        "write_points: an empty tag", write([{"tags": {"a": "", "b": "x"}, "fields": {"v": 1}, "time": 9}], measurement="empty"), True
    )
    world.same("as influxd stores it: an empty tag", influx.points("ops", "empty"), [({"b": "x"}, {"v": 1}, 9)])
    many = [{"fields": {"v": number}, "time": number + 1} for number in range(5000)]
    world.gives("write_points: 5,000", write(many, measurement="many", bucket=BUCKETS[1]), True)
    world.same(
        "as influxd stores them: 5,000", influx.points(BUCKETS[1], "many"), [({}, {"v": number}, number + 1) for number in range(5000)]
    )
    world.gives("write_points: without a time", write([{"fields": {"v": 1}}], measurement="now"), True)
    world.same("influxd gave it one", len(influx.points("ops", "now")), 1)
    server.take()
    bad = {
        "no points": [],
        "no fields": [{"fields": {}}],
        "a line break in text": [{"fields": {"s": "a\nm v=2"}}],
        "a line break in a tag": [{"tags": {"a": "x\nm v=2"}, "fields": {"v": 1}}],
        "a field that is no name": [{"fields": {"a b": 1}}],
        "a tag that is no name": [{"tags": {"a=b": "x"}, "fields": {"v": 1}}],
        "a bool as time": [{"fields": {"v": 1}, "time": True}],
        "too large an integer": [{"fields": {"v": 9223372036854775808}}],
        "an object as a field": [{"fields": {"v": {}}}],
        "a line break after a field": [{"fields": {"v\n": 1}}],
    }
    for label, points in bad.items():
        world.refused(f"write_points: {label}", write(points), INVALID)
    world.refused("write_points: 5,001", write(many + many[:1]), LIMIT | INVALID)
    world.refused("write_points: a measurement that is no name", write([{"fields": {"v": 1}}], measurement="a b"), INVALID)
    world.refused("write_points: another bucket", write([{"fields": {"v": 1}}], bucket="_internal"), OUTSIDE)
    world.same("nothing of it was sent", server.take(), [])


def flux(world, gateway, influx):
    influx.csv = CSV
    query = lambda filters, **more: gateway.call("influxdb_query", **{"bucket": "ops", **more}, filters=filters)
    cases = {
        **FILTERS,
        **{
            f"the text {text!r}": ([{"field": "host", "op": "==", "value": text}], "and", lambda row, text=text: row["host"] == text)
            for text in TEXTS
        },
    }
    for label, (filters, operator, keep) in cases.items():
        meaning = asked(world, influx, query(filters, logical_op=operator), f"query: {label}")
        if meaning:
            world.same(f"it picks what it should: {label}", meaning["picked"], [row["id"] for row in ROWS if keep(row)])
            world.same(f"no text is run as Flux: {label}", meaning["interpolations"], 0)
    times = {"-1h": "now()", "-1h30m": "-5m", "2024-05-01T10:00:00Z": "2024-05-02T00:00:00+02:00", "-2mo": "now()"}
    for start, stop in times.items():
        meaning = asked(world, influx, query(FILTERS["equal"][0], range_start=start, range_stop=stop), f"query from {start} to {stop}")
        ranges = [given for name, given in meaning["calls"] if name == "range"] if meaning else []
        world.check(f"it has the range {start}", None if len(ranges) == 1 and set(ranges[0]) >= {"start", "stop"} else f"{ranges}")
    meaning = asked(world, influx, query(FILTERS["equal"][0], bucket=BUCKETS[1]), "query of a bucket with an odd name")
    world.same("it is that bucket", meaning and meaning["calls"][:1], [["from", {"bucket": BUCKETS[1]}]])
    for label, filters in BAD_FILTERS.items():
        world.refused(f"query: {label}", query(filters), INVALID | LIMIT)
    for label, more in {
        "Flux as a time": {"range_start": "-1h) |> drop("},
        "stop before start": {"range_start": "-1h", "range_stop": "-2h"},
        "another operator": {"logical_op": "xor"},
    }.items():
        world.refused(f"query: {label}", query(FILTERS["equal"][0], **more), INVALID)
    world.refused("query: another bucket", query(FILTERS["equal"][0], bucket="_internal"), OUTSIDE)
    world.same("none of these was asked", influx.queries, [])


def asked(world, influx, answer, label):
    """The meaning of the only query that reached the server, or None."""
    queries, influx.queries[:] = list(influx.queries), []
    if answer.is_error or answer.error or len(queries) != 1:
        return world.check(label, f"{len(queries)} queries, {answer.shown()}")
    meaning = influx.understood(queries[0], ROWS)
    world.check(f"{label}: InfluxData's checker takes it", None if meaning["valid"] else f"{meaning['errors']} in {queries[0]['flux']!r}")
    return meaning


def answers(world, gateway, influx):
    influx.csv = CSV
    got = world.value(gateway.call("influxdb_query", bucket="ops", filters=FILTERS["equal"][0])) or []
    own = influxdb.read_csv(world.cache, CSV)
    world.same(
        "several tables of all types, as InfluxData's client reads them", [comparable(row) for row in got], [comparable(row) for row in own]
    )
    influx.csv = "\r\n"
    world.gives("no rows", gateway.call("influxdb_query", bucket="ops", filters=FILTERS["equal"][0]), [])
    influx.csv = NAMES
    world.gives("list_measurements", gateway.call("influxdb_list_measurements", bucket="ops"), ["cpu", "mem"])
    world.gives(
        "get_schema",
        gateway.call("influxdb_get_schema", bucket="ops", measurement="cpu"),
        {"fields": ["cpu", "mem"], "tags": ["cpu", "mem"]},
    )
    for query in influx.queries[1:]:
        meaning = influx.understood(query, ROWS)
        world.check("its Flux is taken by InfluxData's checker", None if meaning["valid"] else f"{meaning['errors']} in {query['flux']!r}")
    influx.queries.clear()
    influx.csv = "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,cannot compare types,897\r\n"
    world.refused("an error in an answer of 200", gateway.call("influxdb_query", bucket="ops", filters=FILTERS["equal"][0]), UPSTREAM)
    influx.queries.clear()


def comparable(row):
    """Without the columns that carry no data; times as seconds, nothing as nothing."""

    def plain(value):
        if isinstance(value, dict):
            return value["time"]
        if isinstance(value, str) and value[:4].isdigit() and value.endswith("Z"):
            return datetime.datetime.fromisoformat(value).timestamp()
        return value

    return {key: plain(value) for key, value in row.items() if key not in ("", "result", "table") and value is not None}


def buckets(world, gateway, server, influx):
    world.gives("create_bucket", gateway.call("influxdb_create_bucket", name="mine", retention_days=7), True)
    made = influx.buckets[-1] if influx.buckets else {}
    world.check("its name is the agent's", None if made.get("name") in ("build-01-mine", "build-01--mine") else f"{made}")
    world.same(
        "its organisation and retention",
        (made.get("orgID"), made.get("retentionRules")),
        (influxdb.ORG_ID, [{"type": "expire", "everySeconds": 7 * 86400}]),
    )
    point = {"fields": {"v": 1}, "time": 1}
    written = gateway.call("influxdb_write_points", bucket=made.get("name", ""), measurement="m", points=[point])
    world.gives("it can be written to", written, True)
    world.same("as influxd stores it", influx.points(made.get("name", "x"), "m"), [({}, {"v": 1}, 1)])
    server.take()
    for name in ("../x", "", "a b", "x" * 65, "a\n"):
        world.refused(f"create_bucket {name[:8]!r}", gateway.call("influxdb_create_bucket", name=name), INVALID)
    for days in (-5, 3651):
        world.refused(f"create_bucket for {days} days", gateway.call("influxdb_create_bucket", name="x", retention_days=days), INVALID)
    world.same("none was asked for", [one for one in server.take() if one.method == "POST"], [])


def deletes(world, gateway, server, influx):
    write = lambda measurement, times: gateway.call(
        "influxdb_write_points", bucket="ops", measurement=measurement, points=[{"fields": {"v": 1}, "time": when} for when in times]
    )
    now = int(datetime.datetime.now().timestamp()) * 10**9
    hour = 3600 * 10**9
    write("gone", [now - 3 * hour, now - hour // 2, now - hour // 4])
    write("kept", [now - hour // 2])
    world.gives(
        "delete_points of the last hour",
        gateway.call("influxdb_delete_points", bucket="ops", measurement="gone", start="-1h", stop="now()"),
        True,
    )
    world.same("what influxd has left", [when for _, _, when in influx.points("ops", "gone")], [now - 3 * hour])
    world.same("another measurement is as it was", len(influx.points("ops", "kept")), 1)
    said = influx.deleted[-1] if influx.deleted else {}
    absolute = [bool(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", said.get(key, ""))) for key in ("start", "stop")]
    world.same("the times are absolute", absolute, [True, True])
    server.take()
    for label, more in {
        "another bucket": {"bucket": "_internal"},
        "a predicate as measurement": {"measurement": 'a" or "b'},
        "stop before start": {"stop": "-2h"},
    }.items():
        arguments = {"bucket": "ops", "measurement": "kept", "start": "-1h", "stop": "now()", **more}
        world.refused(f"delete_points: {label}", gateway.call("influxdb_delete_points", **arguments), OUTSIDE | INVALID)
    world.same("none was asked for", server.take(), [])
