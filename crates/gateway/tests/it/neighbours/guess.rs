//! Guesses at the neighbour's things. Whatever it has made goes into them under its real name.

use super::plan::{BASE, Draw};

/// A way to the neighbour's files and directories; `own` is a name that exists here.
pub(crate) fn path(d: &Draw<'_>, own: &str) -> String {
    let (me, id) = (d.me.id, d.other.id);
    let name = d.name(&d.theirs.files, "n0.txt");
    let inside = if d.below(3) == 0 { name.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned() } else { name };
    match d.below(16) {
        0 => format!("../{id}/{inside}"),
        1 => format!("{BASE}/agents/{id}/{inside}"),
        2 => format!("{BASE}/agents/{me}/../{id}/{inside}"),
        3 => format!("notes/../../{id}/{inside}"),
        4 => format!("nowhere/../../{id}/{inside}"),
        5 => format!("{own}/../../{id}/{inside}"),
        6 => format!("../{{agent_id}}/{inside}"),
        7 => format!("%2e%2e/{id}/{inside}"),
        8 => format!("{BASE}/agents/{me}-b/{inside}"),
        9 => format!("{BASE}/agents/{me}/{inside}"),
        10 => format!("..\\{id}\\{inside}"),
        11 => format!("./..//{id}/./{inside}"),
        12 => format!("/proc/self/cwd/{BASE}/agents/{id}/{inside}"),
        13 => format!("{BASE}/db/agent_{id}.db"),
        14 => ["..", "/", "../..", BASE][d.below(4)].to_owned(),
        _ => inside,
    }
}

/// The name of a table, or what would be more than a name.
pub(crate) fn table(d: &Draw<'_>) -> String {
    let (id, name) = (d.other.id, d.name(&d.theirs.tables, "t0"));
    match d.below(4) {
        0 => name,
        1 => format!("{id}.{name}"),
        2 => format!("x\" (text); ATTACH '{BASE}/db/agent_{id}.db' AS n; --"),
        _ => format!("../agent_{id}.db"),
    }
}

/// SQL towards the neighbour's file and tables.
pub(crate) fn sql(d: &Draw<'_>) -> String {
    let (id, name) = (d.other.id, d.name(&d.theirs.tables, "t0"));
    let file = format!("{BASE}/db/agent_{id}.db");
    match d.below(16) {
        0 => format!("ATTACH DATABASE '{file}' AS n"),
        1 => format!("ATTACH 'file:{file}?mode=ro' AS n"),
        2 => format!("SELECT * FROM n.{name}"),
        3 => format!("SELECT * FROM \"{file}\".{name}"),
        4 => format!("SELECT * FROM {name} LIMIT 20"),
        5 => format!("SELECT count(*) AS n FROM \"{name}\""),
        6 => format!("VACUUM INTO '{file}'"),
        7 => format!("SELECT readfile('{file}')"),
        8 => format!("SELECT writefile('{file}', 'x')"),
        9 => format!("CREATE VIRTUAL TABLE v USING csv(filename='{file}')"),
        10 => "SELECT file FROM pragma_database_list".to_owned(),
        11 => format!("SELECT load_extension('{file}')"),
        12 => format!("INSERT INTO n.{name} (text) VALUES ('{}')", d.value()),
        13 => format!("UPDATE {name} SET text = '{}' WHERE id = 1", d.value()),
        14 => "SELECT name FROM sqlite_master ORDER BY name".to_owned(),
        _ => format!("SELECT 1; ATTACH '{file}' AS n"),
    }
}

/// The whole name of a bucket.
pub(crate) fn bucket(d: &Draw<'_>) -> String {
    let (me, id) = (d.me.id, d.other.id);
    let name = d.name(&d.theirs.buckets, &format!("{id}--m0"));
    match d.below(10) {
        0..=3 => name,
        4 => format!("{me}--{name}"),
        5 => format!("{me}--m0\") from(bucket: \"{name}"),
        6 => "{agent_id}--m0".to_owned(),
        7 => ["_monitoring", "", "*", "private"][d.below(4)].to_owned(),
        8 => name.replace("--", "-"),
        _ => format!("${{\"{name}\"}}"),
    }
}

/// What would stand behind one's own prefix.
pub(crate) fn short_bucket(d: &Draw<'_>) -> String {
    let name = d.name(&d.theirs.buckets, "b--m0");
    let short = name.rsplit("--").next().unwrap_or_default();
    [format!("b--{short}"), format!("-b--{short}"), format!("b-{short}"), name.clone(), format!("../{short}"), "{agent_id}".to_owned()]
        [d.below(6)]
    .clone()
}

/// Text that would leave a literal of Flux, a line of points or a predicate.
pub(crate) fn flux(d: &Draw<'_>) -> String {
    let name = d.name(&d.theirs.buckets, &format!("{}--m0", d.other.id));
    match d.below(8) {
        0 => format!("x\") |> yield(name: \"x\")\nfrom(bucket: \"{name}\") |> range(start: 0) //"),
        1 => format!("${{from(bucket: \"{name}\")}}"),
        2 => format!("$\\\") or true) from(bucket: \"{name}\") //"),
        3 => format!("x/) |> drop() from(bucket: \"{name}\") //"),
        4 => "cpu0\" or _measurement=\"cpu1".to_owned(),
        5 => "-1h) |> range(start: 0".to_owned(),
        6 => name,
        _ => d.other.mark.to_owned(),
    }
}

/// The uid of a dashboard or of a folder.
pub(crate) fn uid(d: &Draw<'_>) -> String {
    let id = d.other.id;
    let name = d.name(&d.theirs.dashboards, "d0000000000000000");
    match d.below(8) {
        0..=4 => name,
        5 => format!("agent-{id}"),
        6 => format!("../../folders/agent-{id}"),
        _ => "{agent_id}".to_owned(),
    }
}

/// A data source that nobody opened for either: by name, uid, number or field.
pub(crate) fn source(d: &Draw<'_>) -> String {
    let id = d.other.id;
    [format!("Private {id}"), format!("private-{id}"), "2".to_owned(), "3".to_owned(), "${source}".to_owned(), String::new()][d.below(6)]
        .clone()
}

/// What would be a line of its own in a head.
pub(crate) fn header(d: &Draw<'_>) -> String {
    let id = d.other.id;
    [format!("\r\nTopic: agents-{id}"), format!("\nTo: {id}@example.org"), " {agent_id}".to_owned(), format!(" <!channel> agents-{id}")]
        [d.below(4)]
    .clone()
}

/// Somebody whom the operator did not list.
pub(crate) fn recipient(d: &Draw<'_>) -> String {
    let id = d.other.id;
    [format!("{id}@example.org"), format!("ops@example.org, {id}@example.org"), format!("ops@example.org>\r\nRCPT TO:<{id}@example.org")]
        [d.below(3)]
    .clone()
}

/// A path at a service that would lead elsewhere.
pub(crate) fn url_path(d: &Draw<'_>) -> String {
    let id = d.other.id;
    [
        format!("../{id}/things"),
        format!("/%2e%2e/{id}"),
        format!("//{id}.example.com/x"),
        format!("/things/{id}"),
        format!("/..\\{id}"),
        "/{agent_id}?x=1#y".to_owned(),
    ][d.below(6)]
    .clone()
}
