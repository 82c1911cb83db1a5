//! From the path an agent gives to a request target that cannot leave the service's base path. Pure.
//!
//! What is checked is what is sent: the target is written anew from the checked parts, so it holds no dot segments, and two readers of it
//! cannot come to two places. Percent-encodings pass as they are given, but for those that could hide a way out:
//!
//! | Written | Verdict |
//! |---|---|
//! | `.` and `..` as segments | removed (RFC 3986, 5.2.4); refused when they climb above the base path |
//! | `%2e`, at any depth of encoding | refused; a dot is written as it is |
//! | `%2f` between two names (`group%2Fproject`) | passes; refused beside nothing, beside dots, or encoded twice |
//! | `\`, `%5c`, control characters, `#`, a stray `%`, bytes that are not UTF-8 | refused |
//! | `..;x`, `.. ` and the like, which some servers read as `..` | refused |
//! | `//host`, `scheme:`, `user@host` in front | refused |
//! | everything else outside RFC 3986's path characters | percent-encoded as UTF-8 |

use bailiwick_model::Code;
use bailiwick_model::glob::Glob;

use crate::fault::ToolFault;

/// Longest path with its query, as given.
pub(super) const PATH_BYTES_MAX: usize = 8_192;
/// How often a text may be percent-encoded over and over before it is refused unread.
const ENCODINGS_MAX: usize = 4;

/// A checked path beneath a service's base address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServicePath {
    /// Percent-encoded; empty for the base address itself, otherwise with a slash in front.
    pub(super) target: String,
    /// Percent-encoded, without the question mark.
    pub(super) query: Option<String>,
    /// The decoded path as different servers would read it.
    readings: Vec<String>,
}

impl ServicePath {
    /// Reads `given`: a path with an optional query.
    ///
    /// # Errors
    /// `scope_violation` for everything that leaves the base path or could be read that way, `invalid_argument` for what is no path.
    pub(super) fn parse(given: &str) -> Result<Self, ToolFault> {
        if given.len() > PATH_BYTES_MAX {
            return Err(ToolFault::invalid(format!("the path is longer than {PATH_BYTES_MAX} bytes"), "use a shorter path"));
        }
        if given.chars().any(|c| c.is_control() || c == '\\' || c == '#') {
            return Err(unfit("a control character, a backslash or `#`"));
        }
        let (path, query) = given.split_once('?').map_or((given, None), |(path, query)| (path, Some(query)));
        let query = query.map(encode_query).transpose()?;
        if path.is_empty() {
            return Ok(Self { target: String::new(), query, readings: vec!["/".to_owned()] });
        }
        let relative = path.strip_prefix('/');
        if relative.is_none() && path.split('/').next().is_some_and(|first| first.contains([':', '@'])) {
            return Err(outside());
        }
        let segments = normalise(relative.unwrap_or(path))?;
        let readings = readings(&segments);
        let target = segments.iter().flat_map(|segment| ["/", &segment.sent]).collect();
        Ok(Self { target, query, readings })
    }

    /// Whether every reading of the path matches one of `globs`.
    pub(super) fn is_allowed(&self, globs: &[Glob]) -> bool {
        self.readings.iter().all(|reading| globs.iter().any(|glob| glob.matches_path(reading)))
    }
}

/// What the agent is told about every way out.
fn outside() -> ToolFault {
    ToolFault::new(
        Code::ScopeViolation,
        "the path leaves the service, or could be read that way",
        "write a path beneath the service's address with `/` in front, with dots written plainly and without `..` above its beginning",
    )
}

fn unfit(what: &str) -> ToolFault {
    ToolFault::invalid(format!("the path holds {what}"), "percent-encode what is data, and write values of the query under `params`")
}

fn stray_percent() -> ToolFault {
    unfit("a `%` without two hexadecimal digits; a percent sign is `%25`")
}

/// A segment between two slashes.
struct Segment {
    /// As it goes out.
    sent: String,
    /// With everything decoded.
    decoded: String,
    /// With everything decoded but slashes.
    opaque: String,
}

fn normalise(path: &str) -> Result<Vec<Segment>, ToolFault> {
    let mut kept: Vec<Segment> = Vec::new();
    let mut given = path.split('/').peekable();
    while let Some(text) = given.next() {
        match text {
            "." => {}
            ".." => drop(kept.pop().ok_or_else(outside)?),
            _ => {
                kept.push(Segment::read(text)?);
                continue;
            }
        }
        // `a/.` and `a/b/..` mean `a/`.
        if given.peek().is_none() {
            kept.push(Segment::read("")?);
        }
    }
    // What remains must not begin like `//host`.
    if kept.len() > 1 && kept[0].sent.is_empty() {
        return Err(outside());
    }
    Ok(kept)
}

impl Segment {
    fn read(given: &str) -> Result<Self, ToolFault> {
        let mut sent = String::with_capacity(given.len());
        let mut decoded = Vec::with_capacity(given.len());
        let mut opaque = Vec::with_capacity(given.len());
        let mut rest = given;
        while let Some(c) = rest.chars().next() {
            let taken = if c == '%' {
                let byte = rest.as_bytes().get(..3).and_then(triplet).ok_or_else(stray_percent)?;
                if byte == b'.' {
                    return Err(outside());
                }
                sent.push_str(&rest[..3]);
                decoded.push(byte);
                opaque.extend_from_slice(if byte == b'/' { b"%2F" } else { std::slice::from_ref(&byte) });
                3
            } else {
                let text = &rest[..c.len_utf8()];
                encode(c, is_path_char(c), &mut sent);
                decoded.extend_from_slice(text.as_bytes());
                opaque.extend_from_slice(text.as_bytes());
                text.len()
            };
            rest = &rest[taken..];
        }
        let text = |bytes| String::from_utf8(bytes).map_err(|_| unfit("bytes that are not UTF-8"));
        let (decoded, opaque) = (text(decoded)?, text(opaque)?);
        check(&decoded)?;
        Ok(Self { sent, decoded, opaque })
    }
}

/// Refuses what a server could take for dots or slashes of the path's structure.
fn check(decoded: &str) -> Result<(), ToolFault> {
    if decoded.chars().any(|c| c.is_control() || c == '\\') {
        return Err(unfit("an encoded control character or backslash"));
    }
    let has_slash = decoded.contains('/');
    for name in decoded.split('/') {
        let bare = name.split(';').next().unwrap_or_default().trim();
        if matches!(bare, "." | "..") || (has_slash && bare.is_empty()) {
            return Err(outside());
        }
    }
    let mut layer = decoded.as_bytes().to_vec();
    for _ in 0..ENCODINGS_MAX {
        let Some(next) = decode_again(&layer)? else { return Ok(()) };
        layer = next;
    }
    Err(outside())
}

/// One more layer of percent-decoding; `None` when there is none.
fn decode_again(text: &[u8]) -> Result<Option<Vec<u8>>, ToolFault> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text.get(at..at + 3).and_then(triplet) {
            Some(b'.' | b'/' | b'\\' | 0..0x20 | 0x7f) => return Err(outside()),
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    Ok((out.len() < text.len()).then_some(out))
}

/// The byte that `%XX` stands for.
fn triplet(text: &[u8]) -> Option<u8> {
    let [b'%', high, low] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

fn encode(c: char, plain: bool, out: &mut String) {
    if plain {
        out.push(c);
    } else {
        out.push_str(&crate::egress::segment(c.encode_utf8(&mut [0; 4])));
    }
}

/// `pchar` without percent (RFC 3986, 3.3).
fn is_path_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c)
}

/// A query as given, with what cannot stand in one encoded.
fn encode_query(given: &str) -> Result<String, ToolFault> {
    let mut out = String::with_capacity(given.len());
    for (at, c) in given.char_indices() {
        let encoded = (c == '%').then(|| given.as_bytes().get(at..at + 3).and_then(triplet));
        match encoded {
            Some(None) => return Err(stray_percent()),
            Some(Some(0..0x20 | 0x7f)) => return Err(unfit("an encoded control character")),
            Some(Some(_)) => out.push('%'),
            None => encode(c, is_path_char(c) || c == '/' || c == '?', &mut out),
        }
    }
    Ok(out)
}

/// The path as servers read it that decode everything; that leave encoded slashes alone; that also merge slashes and drop what follows `;`.
fn readings(segments: &[Segment]) -> Vec<String> {
    let joined = |part: fn(&Segment) -> &str| segments.iter().flat_map(|segment| ["/", part(segment)]).collect::<String>();
    let decoded = joined(|segment| &segment.decoded);
    let mut merged: String = decoded
        .split('/')
        .map(|name| name.split(';').next().unwrap_or_default())
        .filter(|name| !name.is_empty())
        .flat_map(|name| ["/", name])
        .collect();
    if merged.is_empty() || decoded.ends_with('/') {
        merged.push('/');
    }
    let mut all = vec![decoded, joined(|segment| &segment.opaque), merged];
    all.sort_unstable();
    all.dedup();
    all
}
