//! Undoing the compression of an answer (RFC 9110, 8.4). Nobody asks for it, and some services compress all the same.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// Compressions on top of each other that are undone.
const CODINGS_MAX: usize = 2;
/// Room of the decompressor for what it has not read yet.
const BUFFER_BYTES: usize = 4 << 10;

/// Why a body stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodingFault {
    /// Decompressed it is larger than allowed; decompressing ended there.
    TooLarge,
    /// Compressed in a way that is not known here, or too often.
    Unknown,
    /// Not what its header says.
    Broken,
}

impl CodingFault {
    pub(super) const fn detail(self) -> &'static str {
        match self {
            Self::TooLarge => "the answer is larger than allowed once it is decompressed",
            Self::Unknown => "the answer is compressed with something else than gzip, deflate or br, or more than twice",
            Self::Broken => "the answer is not compressed in the way it says",
        }
    }
}

/// Whether the answer says that its body is compressed.
pub(super) fn is_coded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// The body as it was before it was compressed, at most `limit` bytes at every step.
pub(super) fn decoded(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, CodingFault> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let text = value.to_str().map_err(|_| CodingFault::Unknown)?.to_ascii_lowercase();
        codings.extend(text.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "identity")).map(str::to_owned));
    }
    if codings.len() > CODINGS_MAX {
        return Err(CodingFault::Unknown);
    }
    // The last one was applied last.
    codings.iter().rev().try_fold(body, |body, coding| undo(coding, &body, limit))
}

fn undo(coding: &str, body: &[u8], limit: usize) -> Result<Bytes, CodingFault> {
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    match coding {
        "gzip" | "x-gzip" => bounded(MultiGzDecoder::new(body), limit),
        "deflate" if has_zlib_head(body) => bounded(ZlibDecoder::new(body), limit),
        // Some servers leave the head out.
        "deflate" => bounded(DeflateDecoder::new(body), limit),
        "br" => bounded(brotli_decompressor::Decompressor::new(body, BUFFER_BYTES), limit),
        _ => Err(CodingFault::Unknown),
    }
}

/// RFC 1950, 2.2: the method is 8, and both bytes together are a multiple of 31.
fn has_zlib_head(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0)
}

fn bounded(reader: impl Read, limit: usize) -> Result<Bytes, CodingFault> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(most).read_to_end(&mut out).map_err(|_| CodingFault::Broken)?;
    if out.len() > limit { Err(CodingFault::TooLarge) } else { Ok(out.into()) }
}
