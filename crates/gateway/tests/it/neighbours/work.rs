//! One drawn operation of each module. A name in it is the agent's own, or, in a hostile operation, a guess at the other's (`guess.rs`).

use bailiwick_testkit::grafana::uid_of;
use serde_json::{Value, json};

use super::guess;
use super::plan::{Draw, Operation};

/// The kinds of operations; what stands twice comes twice as often.
pub(crate) const KINDS: [fn(&mut Draw<'_>) -> Operation; 18] = [
    files, files, files, files, tables, tables, tables, series, series, series, boards, boards, boards, notices, services, servers,
    servers, talk,
];
/// Nanoseconds since 1970 of the house's still clock, a little before.
const TIME: i64 = 1_785_230_000_000_000_000;

fn files(d: &mut Draw<'_>) -> Operation {
    let tool = d.one(&[
        "read_file",
        "list_dir",
        "write_file",
        "delete_file",
        "stat",
        "read_range",
        "append_file",
        "move_file",
        "make_dir",
        "delete_dir",
        "search",
    ]);
    let own = match tool {
        "list_dir" | "search" => directory(d),
        "make_dir" | "delete_dir" => format!("made{}", d.below(2)),
        _ => file(d),
    };
    let path = if d.hostile { guess::path(d, &own) } else { own };
    if matches!(tool, "write_file" | "append_file") && !d.hostile {
        d.mine.files.insert(path.clone());
    }
    let arguments = match tool {
        "write_file" | "append_file" => json!({ "path": path, "content": format!("{}\n", d.value()) }),
        "read_range" => json!({ "path": path, "offset": d.below(9), "length": 1 + d.below(40) }),
        "move_file" => moved(d, &path),
        "search" => json!({ "path": path, "name": d.one(&["*", "*.txt", "n?.txt"]), "text": d.one(&["", "canary", d.me.canary]) }),
        _ => json!({ "path": path }),
    };
    Operation::call(&format!("filesystem_{tool}"), arguments)
}

fn moved(d: &mut Draw<'_>, from: &str) -> Value {
    let own = format!("n{}.txt", d.below(6));
    // Their things to our place, our things to theirs, or both here.
    let (from, to) = if d.hostile && d.below(2) == 0 { (own, from.to_owned()) } else { (from.to_owned(), own) };
    json!({ "from": from, "to": to })
}

fn file(d: &Draw<'_>) -> String {
    let (directory, number) = (directory(d), d.below(4));
    if directory.is_empty() { format!("n{number}.txt") } else { format!("{directory}/n{number}.txt") }
}

fn directory(d: &Draw<'_>) -> String {
    let deep = format!("{}/deep", d.me.mark);
    d.one(&["", "notes", d.me.mark, &deep]).to_owned()
}

fn tables(d: &mut Draw<'_>) -> Operation {
    let table = if d.below(3) == 0 { format!("{}_t", d.me.mark) } else { format!("t{}", d.below(3)) };
    let tool = d.one(&["query", "query", "list_tables", "execute", "execute", "create_table"]);
    let value = d.value();
    let arguments = match tool {
        "list_tables" => json!({}),
        "create_table" if d.hostile => json!({ "name": guess::table(d), "columns": { "text": "TEXT" } }),
        "create_table" => {
            d.mine.tables.insert(table.clone());
            json!({ "name": table, "columns": { "id": "INTEGER PRIMARY KEY", "text": "TEXT" } })
        }
        _ if d.hostile => json!({ "sql": guess::sql(d) }),
        "query" => json!({ "sql": format!("SELECT * FROM {table} ORDER BY id LIMIT 20") }),
        _ => match d.below(4) {
            0 => json!({ "sql": format!("DELETE FROM {table} WHERE id % 3 = ?1"), "params": [d.below(3)] }),
            1 => json!({ "sql": format!("UPDATE {table} SET text = ?1 WHERE id = ?2"), "params": [value, d.below(9)] }),
            _ => json!({ "sql": format!("INSERT INTO {table} (text) VALUES (?1)"), "params": [value] }),
        },
    };
    Operation::call(&format!("sqlite_{tool}"), arguments)
}

fn series(d: &mut Draw<'_>) -> Operation {
    let tool = d.one(&["query", "list_measurements", "get_schema", "write_points", "write_points", "create_bucket", "delete_points"]);
    let short = if d.below(3) == 0 { d.me.mark.to_owned() } else { format!("m{}", d.below(3)) };
    // What the operator listed for both is read by both; whoever writes there means the other to see it.
    let reads = matches!(tool, "query" | "list_measurements" | "get_schema");
    let own = if reads && d.below(8) == 0 { "telemetry".to_owned() } else { format!("{}--{short}", d.me.id) };
    let bucket = if d.hostile && d.below(3) > 0 { guess::bucket(d) } else { own.clone() };
    let measurement = if d.hostile && d.below(4) == 0 { guess::flux(d) } else { format!("cpu{}", d.below(2)) };
    let arguments = match tool {
        "query" => {
            json!({ "bucket": bucket, "filters": filters(d), "range_start": start(d), "raw": d.below(2) == 0, "logical_op": d.one(&["and", "or"]) })
        }
        "list_measurements" => json!({ "bucket": bucket }),
        "get_schema" => json!({ "bucket": bucket, "measurement": measurement }),
        "write_points" => json!({ "bucket": bucket, "measurement": measurement, "points": [point(d)] }),
        "create_bucket" if d.hostile => json!({ "name": guess::short_bucket(d) }),
        "create_bucket" => {
            d.mine.buckets.insert(own);
            json!({ "name": short, "retention_days": d.below(3) })
        }
        _ => json!({ "bucket": bucket, "measurement": measurement, "start": start(d), "stop": "now()", "dry_run": d.below(2) == 0 }),
    };
    Operation::call(&format!("influxdb_{tool}"), arguments)
}

fn start(d: &Draw<'_>) -> String {
    if d.hostile && d.below(6) == 0 { guess::flux(d) } else { "-1h".to_owned() }
}

fn filters(d: &Draw<'_>) -> Value {
    let measurement = json!({ "field": "_measurement", "op": d.one(&["==", "!="]), "value": format!("cpu{}", d.below(2)) });
    if !d.hostile {
        return json!([measurement]);
    }
    let column = if d.below(4) == 0 { guess::flux(d) } else { "who".to_owned() };
    json!([measurement, { "field": column, "op": d.one(&["==", "!=", "=~", "!~"]), "value": guess::flux(d) }])
}

fn point(d: &Draw<'_>) -> Value {
    let note = if d.hostile { format!("{} {}", d.value(), guess::flux(d)) } else { d.value() };
    let time = TIME + i64::try_from(d.below(4)).unwrap() * 1_000_000_000;
    json!({ "tags": { "who": d.me.canary, "slot": d.below(2).to_string() }, "fields": { "note": note, "load": d.below(9) }, "time": time })
}

fn boards(d: &mut Draw<'_>) -> Operation {
    let tool = d.one(&[
        "list_dashboards",
        "get_dashboard",
        "list_datasources",
        "query_datasource",
        "create_dashboard",
        "update_dashboard",
        "delete_dashboard",
        "delete_dashboard",
        "create_alert_rule",
    ]);
    let (title, folder) = (format!("{} board {}", d.me.canary, d.below(4)), format!("agent-{}", d.me.id));
    let own = uid_of(&folder, &title, d.below(2));
    let uid = if d.hostile { guess::uid(d) } else { own };
    let arguments = match tool {
        "get_dashboard" | "delete_dashboard" => json!({ "uid": uid }),
        "update_dashboard" => json!({ "uid": uid, "panels": panels(d) }),
        "query_datasource" => json!({ "datasource": if d.hostile { guess::source(d) } else { "Metrics".to_owned() }, "query": d.value() }),
        "create_dashboard" => {
            d.mine.dashboards.insert(uid_of(&folder, &title, 0));
            json!({ "title": title, "panels": panels(d) })
        }
        "create_alert_rule" => {
            json!({ "name": d.value(), "condition": { "data": [{ "refId": "A", "datasourceUid": source(d), "model": { "expr": d.value() } }] } })
        }
        _ => json!({}),
    };
    Operation::call(&format!("grafana_{tool}"), arguments)
}

fn source(d: &Draw<'_>) -> String {
    if d.hostile && d.below(2) == 0 { guess::source(d) } else { "metrics".to_owned() }
}

fn panels(d: &Draw<'_>) -> Value {
    json!([{ "type": "timeseries", "title": d.value(), "datasource": { "uid": source(d) }, "targets": [{ "refId": "A", "expr": "up" }] }])
}

fn notices(d: &mut Draw<'_>) -> Operation {
    let value = if d.hostile { format!("{}{}", d.value(), guess::header(d)) } else { d.value() };
    let (tool, mut arguments) = match d.below(5) {
        0 => ("ntfy_send", json!({ "title": value, "message": d.value(), "tags": "a,b" })),
        1 => ("smtp_send", json!({ "to": "ops@example.org", "subject": value, "body": d.value() })),
        2 => ("matrix_send", json!({ "room": d.one(&["!ops:matrix.example", "#ops:matrix.example"]), "message": value })),
        3 => ("slack_webhook_send", json!({ "text": value })),
        _ => ("discord_webhook_send", json!({ "content": value })),
    };
    if d.hostile && d.below(2) == 0 {
        match tool {
            "ntfy_send" => arguments["topic"] = json!(format!("agents-{}", d.other.id)),
            "smtp_send" => arguments["to"] = json!(guess::recipient(d)),
            "matrix_send" => arguments["room"] = json!(format!("!{}:matrix.example", d.other.id)),
            _ => arguments["channel"] = json!(d.other.id),
        }
    }
    Operation::call(tool, arguments)
}

fn services(d: &mut Draw<'_>) -> Operation {
    let tool = d.one(&["get", "post", "put", "delete"]);
    let path = if d.hostile { guess::url_path(d) } else { format!("/things/{}", d.below(5)) };
    let service = if d.hostile && d.below(5) == 0 { d.other.id } else { "notes" };
    let mut arguments = json!({ "service": service, "path": path });
    match tool {
        "get" => arguments["params"] = json!({ "q": d.value() }),
        "post" | "put" => arguments["body"] = json!({ "text": d.value() }),
        _ => {}
    }
    Operation::call(&format!("http_proxy_{tool}"), arguments)
}

/// The server of the agent's own, and the one that all agents of the gateway reach over the same connections.
fn servers(d: &mut Draw<'_>) -> Operation {
    let server = d.one(&["desk_", "shared__"]);
    let tool = d.one(&["echo", "write_note", "sleep", "big", "fail"]);
    let payload = if d.hostile { format!("{} {}", d.value(), d.other.id) } else { d.value() };
    Operation::call(&format!("{server}{tool}"), json!({ "payload": payload, "ms": 1, "bytes": 20 + d.below(20) }))
}

/// What is said to the gateway itself.
fn talk(d: &mut Draw<'_>) -> Operation {
    match d.below(3) {
        0 => Operation { method: "tools/list", params: json!({}) },
        // Both count their requests from 1, so the number is likely to be one that the other has running.
        1 => Operation { method: "notifications/cancelled", params: json!({ "requestId": d.number() + d.below(9), "reason": "guessed" }) },
        _ => Operation::call(&format!("{}{}", d.one(&["filesystem_", "grafana_", "desk__"]), d.other.id), json!({})),
    }
}
