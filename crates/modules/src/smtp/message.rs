//! One message in its final bytes (RFC 5322, RFC 2045) with what its envelope says.

use std::time::{Duration, SystemTime};

use bailiwick_model::Timestamp;
use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, SinglePart};

use super::Mail;
use crate::context::CallContext;
use crate::egress::segment;
use crate::encoded_word;
use crate::fault::ToolFault;

/// Longest word of a subject that is written as it is; lines can only be folded between words.
const WORD_BYTES_MAX: usize = 70;
/// The end of the year 9999, in seconds: the library knows no later date.
const LAST_SECOND: u64 = 253_402_300_799;

/// What goes to the server.
pub(super) struct Letter {
    pub(super) from: String,
    pub(super) to: String,
    /// Lines end with CR LF, dots at their start are doubled, and the line with the one dot is there (RFC 5321, 4.5.2).
    pub(super) content: Vec<u8>,
}

/// Date and Message-ID come from the call, so that one call makes one message.
pub(super) fn write(from: &Mailbox, mail: Mail, context: CallContext<'_>) -> Result<Letter, ToolFault> {
    let Mail { to, subject, body } = mail;
    let part = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(encode(&body)?);
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .raw_header(subject_header(subject))
        .date(date(context.now))
        .message_id(Some(format!("<{}@{}>", segment(context.call), from.email.domain())))
        .singlepart(part)
        .map_err(|cause| ToolFault::internal(format!("the message cannot be written: {cause}")))?;
    Ok(Letter { from: from.email.to_string(), to: to.to_string(), content: stuffed(&message.formatted()) })
}

fn date(now: Timestamp) -> SystemTime {
    let seconds = u64::try_from(now.as_micros()).unwrap_or(0) / 1_000_000;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND))
}

/// The library folds plain words; everything else goes as encoded words, one a line.
fn subject_header(subject: String) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Subject");
    let spaced = subject.trim() != subject || subject.contains("  ");
    if encoded_word::is_plain(&subject) && !spaced && subject.split(' ').all(|word| word.len() <= WORD_BYTES_MAX) {
        return HeaderValue::new(name, subject);
    }
    let encoded = encoded_word::words(&subject).join("\r\n ");
    HeaderValue::dangerous_new_pre_encoded(name, subject, encoded)
}

/// Line ends become CR LF here, because the library takes quadratic time for that. It chooses the encoding, but not for control
/// characters, which it would send as they are.
fn encode(body: &str) -> Result<Body, ToolFault> {
    let unix = body.replace("\r\n", "\n");
    let controls = unix.chars().any(|c| c.is_ascii_control() && c != '\n' && c != '\t');
    let body = unix.replace('\n', "\r\n");
    if controls {
        let failed = |_| ToolFault::internal("the body cannot be encoded");
        return Body::new_with_encoding(body, ContentTransferEncoding::QuotedPrintable).map_err(failed);
    }
    Ok(Body::new(body))
}

fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 64 + 8);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}
