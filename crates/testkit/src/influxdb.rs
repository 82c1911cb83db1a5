//! What an InfluxDB 2.x keeps and answers: buckets with points, the few forms of Flux that are asked of it, line protocol, deletion. It
//! complains of everything else.
//!
//! Every value is a text, and times are compared as whole numbers of nanoseconds; a range is not looked at, so that what a query could show
//! without it shows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::flux;
use crate::service::{Received, Reply};

/// Series (measurement and tags, as written) and time, then fields.
pub type Points = BTreeMap<(String, i64), BTreeMap<String, String>>;

/// The identifier of the only organisation.
const ORG_ID: &str = "00000000000000a1";
/// Before every filter over a whole row.
const FILTER: &str = "|> filter(fn: (r) => ";

/// One InfluxDB; [`Influx::answer`] is what a [`FakeService`](crate::service::FakeService) says.
#[derive(Default)]
pub struct Influx {
    /// By name.
    pub buckets: BTreeMap<String, Points>,
    /// What was asked that is not understood.
    pub complaints: Vec<String>,
}

/// One value of one point, by column.
type Row = BTreeMap<String, String>;

impl Influx {
    /// The answer to one request.
    #[must_use]
    pub fn answer(&mut self, request: &Received) -> Reply {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let parameters: BTreeMap<&str, String> = query.split('&').filter_map(|pair| pair.split_once('=')).map(decoded).collect();
        let name = |key: &str| parameters.get(key).map_or("", String::as_str);
        let done = match (request.method.as_str(), path) {
            ("POST", "/api/v2/query") => self.query(request.json()["query"].as_str().unwrap_or_default()),
            ("POST", "/api/v2/write") => self.write(name("bucket"), &request.text()),
            ("POST", "/api/v2/delete") => self.delete(name("bucket"), &request.json()),
            ("GET", "/api/v2/buckets") => {
                let found: Vec<Value> =
                    self.buckets.keys().filter(|known| *known == name("name")).map(|known| json!({ "name": known })).collect();
                Ok(Reply::json(&json!({ "buckets": found })))
            }
            ("POST", "/api/v2/buckets") => Ok(self.create(&request.json())),
            ("GET", "/api/v2/orgs") => Ok(Reply::json(&json!({ "orgs": [{ "id": ORG_ID, "name": name("org") }] }))),
            _ => Err("no such endpoint".to_owned()),
        };
        done.unwrap_or_else(|why| {
            self.complaints.push(format!("{why}: {} {} {}", request.method, request.target, String::from_utf8_lossy(&request.body)));
            refused(400, "invalid", &why)
        })
    }

    fn create(&mut self, body: &Value) -> Reply {
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        if body["orgID"] != ORG_ID || self.buckets.contains_key(&name) {
            return refused(422, "conflict", "bucket with this name exists");
        }
        self.buckets.insert(name, Points::new());
        Reply::json(body)
    }

    fn write(&mut self, bucket: &str, lines: &str) -> Result<Reply, String> {
        let Some(points) = self.buckets.get_mut(bucket) else { return Ok(refused(404, "not found", "no such bucket")) };
        for line in lines.lines() {
            let [series, fields, time] = split(line, ' ')[..] else { return Err(format!("no point with a time: {line}")) };
            let time = time.parse().map_err(|_| format!("no time: {line}"))?;
            let fields = split(fields, ',').into_iter().filter_map(|field| field.split_once('='));
            let fields = fields.map(|(key, value)| (key.to_owned(), plain(value)));
            points.entry((series.to_owned(), time)).or_default().extend(fields);
        }
        Ok(Reply::new(204, ""))
    }

    /// Every point of the measurement, whatever the range.
    fn delete(&mut self, bucket: &str, selection: &Value) -> Result<Reply, String> {
        let Some(points) = self.buckets.get_mut(bucket) else { return Ok(refused(404, "not found", "no such bucket")) };
        let predicate = selection["predicate"].as_str().unwrap_or_default();
        let (measurement, rest) = flux::string(predicate.strip_prefix("_measurement=").ok_or("another predicate")?)?;
        if !rest.is_empty() {
            return Err("more than one comparison".to_owned());
        }
        points.retain(|(series, _), _| measurement_of(series) != measurement);
        Ok(Reply::new(204, ""))
    }

    fn query(&self, source: &str) -> Result<Reply, String> {
        let call = source.strip_prefix("import \"influxdata/influxdb/schema\"\nschema.").unwrap_or(source);
        let (function, rest) = call.split_once("(bucket: ").ok_or("no bucket")?;
        let (bucket, rest) = flux::string(rest)?;
        let Some(points) = self.buckets.get(&bucket) else { return Ok(refused(404, "not found", "could not find bucket")) };
        let rows: Vec<Row> = points.iter().flat_map(|((series, time), fields)| rows(series, *time, fields)).collect();
        let names = match function {
            "from" => return selected(rows, rest),
            "measurements" => rows.into_iter().map(|row| row["_measurement"].clone()).collect(),
            "measurementFieldKeys" => of_measurement(rows, rest)?.into_iter().map(|row| row["_field"].clone()).collect(),
            "measurementTagKeys" => of_measurement(rows, rest)?.into_iter().flat_map(Row::into_keys).filter(|key| key != "_time").collect(),
            other => return Err(format!("no function {other}")),
        };
        Ok(table(&one_column(names)))
    }
}

fn refused(status: u16, code: &str, message: &str) -> Reply {
    Reply::new(status, json!({ "code": code, "message": message }).to_string()).with("content-type", "application/json")
}

/// What follows `from(bucket: …)`: filters, then a limit or a count.
fn selected(mut rows: Vec<Row>, rest: &str) -> Result<Reply, String> {
    let (_, rest) = rest.split_once(FILTER).ok_or("no filter")?;
    let end = predicate(rest)?;
    let mut failed = None;
    rows.retain(|row| holds(row, &end.0).unwrap_or_else(|why| failed.replace(why).is_some()));
    if let Some(why) = failed {
        return Err(why);
    }
    if end.1.contains("|> count()") {
        return Ok(table(&one_column([rows.len().to_string()].into())));
    }
    Ok(table(&rows))
}

/// Comparisons and the words between them.
type Predicate = (Vec<(String, String, String)>, bool);

/// The predicate at the beginning of `source`, and what follows it.
fn predicate(source: &str) -> Result<(Predicate, &str), String> {
    let (mut comparisons, mut any, mut rest) = (Vec::new(), false, source);
    loop {
        let (column, after) = flux::string(rest.strip_prefix("r[").ok_or("no column")?)?;
        let (op, after) = after.strip_prefix("] ").and_then(|after| after.split_once(' ')).ok_or("no comparison")?;
        let (value, after) = match after.as_bytes().first() {
            Some(b'"') => flux::string(after)?,
            Some(b'/') => flux::regex(after)?,
            _ => after.find([' ', ')']).map(|end| (after[..end].to_owned(), &after[end..])).ok_or("no value")?,
        };
        comparisons.push((column, op.to_owned(), value));
        rest = match (after.strip_prefix(" and "), after.strip_prefix(" or ")) {
            (Some(more), _) => more,
            (_, Some(more)) => {
                any = true;
                more
            }
            _ => return Ok(((comparisons, any), after.strip_prefix(')').ok_or("the predicate does not end")?)),
        };
    }
}

/// Regular expressions are taken as plain text that is somewhere in the value.
fn holds(row: &Row, (comparisons, any): &Predicate) -> Result<bool, String> {
    let compare = |(column, op, wanted): &(String, String, String)| {
        let value = row.get(column).map_or("", String::as_str);
        Ok(match op.as_str() {
            "==" => value == wanted,
            "!=" => value != wanted,
            "=~" => value.contains(wanted.as_str()),
            "!~" => !value.contains(wanted.as_str()),
            "<" | "<=" => value <= wanted.as_str(),
            ">" | ">=" => value >= wanted.as_str(),
            other => return Err(format!("no comparison {other}")),
        })
    };
    let held = comparisons.iter().map(compare).collect::<Result<Vec<bool>, String>>()?;
    Ok(if *any { held.contains(&true) } else { !held.contains(&false) })
}

fn of_measurement(mut rows: Vec<Row>, rest: &str) -> Result<Vec<Row>, String> {
    let (measurement, _) = flux::string(rest.strip_prefix(", measurement: ").ok_or("no measurement")?)?;
    rows.retain(|row| row["_measurement"] == measurement);
    Ok(rows)
}

fn rows(series: &str, time: i64, fields: &BTreeMap<String, String>) -> Vec<Row> {
    let mut common: Row =
        split(series, ',').into_iter().skip(1).filter_map(|tag| tag.split_once('=')).map(|(k, v)| (k.to_owned(), plain(v))).collect();
    common.extend([("_measurement".to_owned(), measurement_of(series)), ("_time".to_owned(), time.to_string())]);
    let row = |(field, value): (&String, &String)| {
        let mut row = common.clone();
        row.extend([("_field".to_owned(), field.clone()), ("_value".to_owned(), value.clone())]);
        row
    };
    fields.iter().map(row).collect()
}

fn measurement_of(series: &str) -> String {
    split(series, ',')[0].to_owned()
}

fn one_column(values: BTreeSet<String>) -> Vec<Row> {
    values.into_iter().map(|value| [("_value".to_owned(), value)].into()).collect()
}

/// One annotated table of texts.
fn table(rows: &[Row]) -> Reply {
    let columns: BTreeSet<&String> = rows.iter().flat_map(BTreeMap::keys).collect();
    let line = |first: &str, cell: &dyn Fn(&str) -> String| {
        let cells: Vec<String> = columns.iter().map(|column| cell(column.as_str())).collect();
        format!("{first}{}\r\n", cells.concat())
    };
    let mut text = line("#datatype,string,long", &|_| ",string".to_owned())
        + &line("#group,false,false", &|_| ",false".to_owned())
        + &line("#default,_result,", &|_| ",".to_owned())
        + &line(",result,table", &|column| format!(",{column}"));
    for row in rows {
        text += &line(",,0", &|column| format!(",\"{}\"", row.get(column).map_or("", String::as_str).replace('"', "\"\"")));
    }
    Reply::new(200, if rows.is_empty() { "\r\n".to_owned() } else { text }).with("content-type", "text/csv; charset=utf-8")
}

/// The parts of line protocol between separators that are neither escaped nor between quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A tag's or field's value without quotes and escapes.
fn plain(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

/// A parameter with its value percent-decoded.
fn decoded<'a>((name, value): (&'a str, &str)) -> (&'a str, String) {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex =
            (*first == b'%').then(|| tail.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok())).flatten();
        bytes.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    (name, String::from_utf8_lossy(&bytes).into_owned())
}
