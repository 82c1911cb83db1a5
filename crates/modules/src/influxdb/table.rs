//! Answers of the query endpoint: annotated CSV, several tables in one body, each with its own annotations and header.
//!
//! The annotations `#datatype`, `#group` and `#default` are asked for with every query, so a record that begins with `#` begins a table; an
//! empty cell takes the column's default, and is null without one.

use bailiwick_model::Code;
use csv::{ReaderBuilder, StringRecord};
use serde::Serialize;

use crate::fault::ToolFault;
use crate::service;

/// Most columns of one table.
const COLUMNS_MAX: usize = 1_000;

/// What one answer may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) rows: u64,
    pub(super) result_bytes: u64,
}

/// How the cells of a column are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    Long,
    Unsigned,
    Double,
    Boolean,
    /// `string`, `dateTime:*`, `duration`, `base64Binary`.
    #[default]
    Text,
}

#[derive(Default)]
struct Column {
    name: String,
    kind: Kind,
    default: String,
}

/// The table that is being read.
#[derive(Default)]
struct Table {
    columns: Vec<Column>,
    /// Annotations have begun and the header has not come.
    open: bool,
    is_error: bool,
}

/// A row, defaults filled in.
pub(super) struct Row<'a> {
    table: &'a Table,
    cells: &'a StringRecord,
}

impl<'a> Row<'a> {
    fn cells(&self) -> impl Iterator<Item = (&'a Column, &'a str)> {
        self.table
            .columns
            .iter()
            .zip(self.cells)
            .map(|(column, cell)| (column, if cell.is_empty() { column.default.as_str() } else { cell }))
    }

    /// The text of the cell under `name`; empty when there is none.
    pub(super) fn text(&self, name: &str) -> &'a str {
        self.cells().find(|(column, _)| column.name == name).map_or("", |(_, cell)| cell)
    }
}

fn broken(cause: impl std::fmt::Display) -> ToolFault {
    let remedy = "ask the operator to look at the service";
    ToolFault::new(Code::UpstreamProtocol, "the service gave a table that cannot be read", remedy).because(cause)
}

/// Gives every row of every table to `each`.
///
/// # Errors
/// `upstream_protocol` for what is not annotated CSV, `upstream_error` for an error that the service wrote as a table, and what `each` says.
pub(super) fn rows(body: &[u8], mut each: impl FnMut(&Row<'_>) -> Result<(), ToolFault>) -> Result<(), ToolFault> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(body);
    let mut record = StringRecord::new();
    let mut table = Table::default();
    while reader.read_record(&mut record).map_err(|cause| broken(kind_of(&cause)))? {
        if record.get(0).is_some_and(|first| first.starts_with('#')) {
            table.annotate(&record)?;
        } else if table.open {
            table.head(&record)?;
        } else if record.len() != table.columns.len() {
            return Err(broken("a row has another number of cells than its header, or there is no header with annotations"));
        } else {
            let row = Row { table: &table, cells: &record };
            if table.is_error {
                return Err(told(&row));
            }
            each(&row)?;
        }
    }
    Ok(())
}

/// Without the reader's text, which repeats cells.
fn kind_of(cause: &csv::Error) -> &'static str {
    if matches!(cause.kind(), csv::ErrorKind::Utf8 { .. }) { "the answer is not UTF-8" } else { "the answer is not CSV" }
}

impl Table {
    fn annotate(&mut self, record: &StringRecord) -> Result<(), ToolFault> {
        if record.len() > COLUMNS_MAX {
            return Err(broken("a table has too many columns"));
        }
        if !self.open {
            *self = Self { open: true, ..Self::default() };
            self.columns.resize_with(record.len(), Column::default);
        }
        if record.len() != self.columns.len() {
            return Err(broken("the annotations of a table are of different lengths"));
        }
        let name = record.get(0).unwrap_or_default();
        for (column, cell) in self.columns.iter_mut().zip(record).skip(1) {
            match name {
                "#datatype" => column.kind = Kind::of(cell),
                "#default" => cell.clone_into(&mut column.default),
                _ => {}
            }
        }
        Ok(())
    }

    fn head(&mut self, record: &StringRecord) -> Result<(), ToolFault> {
        if record.len() != self.columns.len() {
            return Err(broken("a header is of another length than its annotations"));
        }
        for (column, name) in self.columns.iter_mut().zip(record) {
            name.clone_into(&mut column.name);
        }
        self.open = false;
        self.is_error = record.iter().any(|name| name == "error") && !record.iter().any(|name| name == "table");
        Ok(())
    }
}

/// A query that fails after its first rows says so in a table of its own.
fn told(row: &Row<'_>) -> ToolFault {
    let mut fault = ToolFault::new(Code::UpstreamError, "the query failed while it ran", "read `details.body` and change the arguments");
    fault.details = Some(serde_json::json!({ "body": service::shown(row.text("error")) }));
    fault
}

impl Kind {
    fn of(annotation: &str) -> Self {
        match annotation {
            "long" => Self::Long,
            "unsignedLong" => Self::Unsigned,
            "double" => Self::Double,
            "boolean" => Self::Boolean,
            _ => Self::Text,
        }
    }

    /// `cell` as JSON.
    fn write(self, out: &mut Vec<u8>, cell: &str) -> Result<(), ToolFault> {
        let wrong = |_| broken("a cell is not of its column's type");
        if cell.is_empty() {
            return put(out, &());
        }
        match self {
            Self::Long => put(out, &cell.parse::<i64>().map_err(wrong)?),
            Self::Unsigned => put(out, &cell.parse::<u64>().map_err(wrong)?),
            // NaN and infinities have no JSON form and become null.
            Self::Double => put(out, &Some(cell.parse::<f64>().map_err(|_| broken("a cell is not a number"))?).filter(|v| v.is_finite())),
            Self::Boolean => put(out, &cell.parse::<bool>().map_err(|_| broken("a cell is not a truth value"))?),
            Self::Text => put(out, cell),
        }
    }
}

/// Every row as an object in the order of its columns, within `limits`. Without `raw` the nameless column and `result` are left out.
pub(super) fn objects(body: &[u8], limits: &Limits, raw: bool) -> Result<String, ToolFault> {
    let mut out = vec![b'['];
    let mut count = 0;
    rows(body, |row| {
        count += 1;
        limits.check_rows(count)?;
        out.extend_from_slice(if count == 1 { b"{" } else { b",{" });
        let mut first = true;
        for (column, cell) in row.cells().filter(|(column, _)| raw || !matches!(column.name.as_str(), "" | "result")) {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            put(&mut out, &column.name)?;
            out.push(b':');
            column.kind.write(&mut out, cell)?;
        }
        out.push(b'}');
        // The closing bracket is still to come.
        limits.check_bytes(out.len() + 1)
    })?;
    out.push(b']');
    String::from_utf8(out).map_err(|e| ToolFault::internal(format!("rows are not UTF-8: {e}")))
}

fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), ToolFault> {
    serde_json::to_writer(out, value).map_err(|e| ToolFault::internal(e.to_string()))
}

impl Limits {
    /// Whether there may be a row number `count`.
    pub(super) fn check_rows(&self, count: u64) -> Result<(), ToolFault> {
        if count <= self.rows {
            return Ok(());
        }
        let message = format!("the answer has more than {} rows", self.rows);
        Err(ToolFault::limit("max_rows", self.rows, message, "narrow the filters or the range"))
    }

    fn check_bytes(&self, bytes: usize) -> Result<(), ToolFault> {
        if bytes as u64 <= self.result_bytes {
            return Ok(());
        }
        let message = format!("the answer is larger than {} bytes", self.result_bytes);
        Err(ToolFault::limit("max_result_bytes", self.result_bytes, message, "narrow the filters or the range"))
    }
}
