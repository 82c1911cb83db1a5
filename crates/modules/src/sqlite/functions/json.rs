//! `json_group_array` and `json_group_object` that stop at the size limit instead of at 2 GB.

use rusqlite::functions::{Aggregate, Context, FunctionFlags, SubType};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};

use super::{FLAGS, check_size, text};

/// How the engine marks a text that is JSON already.
const JSON: u32 = b'J' as u32;

pub(super) fn install(connection: &Connection) -> Result<()> {
    let flags = FLAGS | FunctionFlags::SQLITE_SUBTYPE | FunctionFlags::SQLITE_RESULT_SUBTYPE;
    connection.create_aggregate_function(c"json_group_array", 1, flags, Array)?;
    connection.create_aggregate_function(c"json_group_object", 2, flags, Object)
}

struct Array;

impl Aggregate<Vec<u8>, (String, SubType)> for Array {
    fn init(&self, _: &mut Context<'_>) -> Result<Vec<u8>> {
        Ok(vec![b'['])
    }

    fn step(&self, call: &mut Context<'_>, out: &mut Vec<u8>) -> Result<()> {
        if out.len() > 1 {
            out.push(b',');
        }
        append(out, call, 0)
    }

    fn finalize(&self, _: &mut Context<'_>, out: Option<Vec<u8>>) -> Result<(String, SubType)> {
        finish(out.unwrap_or_else(|| vec![b'[']), b']')
    }
}

struct Object;

impl Aggregate<Vec<u8>, (String, SubType)> for Object {
    fn init(&self, _: &mut Context<'_>) -> Result<Vec<u8>> {
        Ok(vec![b'{'])
    }

    fn step(&self, call: &mut Context<'_>, out: &mut Vec<u8>) -> Result<()> {
        // A member without a name is left out, as the engine does.
        let Some(name) = text(call, 0) else { return Ok(()) };
        if out.len() > 1 {
            out.push(b',');
        }
        encode(out, &*name)?;
        out.push(b':');
        append(out, call, 1)
    }

    fn finalize(&self, _: &mut Context<'_>, out: Option<Vec<u8>>) -> Result<(String, SubType)> {
        finish(out.unwrap_or_else(|| vec![b'{']), b'}')
    }
}

fn finish(mut out: Vec<u8>, end: u8) -> Result<(String, SubType)> {
    out.push(end);
    check_size(out.len())?;
    String::from_utf8(out).map(|text| (text, Some(JSON))).map_err(|e| Error::UserFunctionError(Box::new(e)))
}

fn append(out: &mut Vec<u8>, call: &Context<'_>, index: usize) -> Result<()> {
    match call.get_raw(index) {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Integer(number) => encode(out, &number)?,
        // JSON has no infinity; the engine writes a number that reads as one.
        ValueRef::Real(number) if number.is_infinite() => out.extend_from_slice(if number > 0.0 { b"9.0e+999" } else { b"-9.0e+999" }),
        ValueRef::Real(number) => encode(out, &number)?,
        ValueRef::Text(json) if call.get_subtype(index) == JSON => out.extend_from_slice(json),
        ValueRef::Text(bytes) => encode(out, &*String::from_utf8_lossy(bytes))?,
        ValueRef::Blob(_) => return Err(Error::UserFunctionError("JSON cannot hold BLOB values".into())),
    }
    check_size(out.len())
}

fn encode<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<()> {
    serde_json::to_writer(out, value).map_err(|e| Error::UserFunctionError(Box::new(e)))
}
