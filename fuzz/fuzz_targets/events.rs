//! The decoder of event streams: the cuts between chunks change nothing, the limit holds, and a plain reading of the standard agrees.
//! Input: two bytes of settings, then the stream.
#![no_main]

use bailiwick_fuzz::{Cuts, settings};
use bailiwick_mcp::sse::{Decoder, Event, EventTooLarge};

/// Longest name or id, as the decoder promises.
const FIELD_BYTES_MAX: usize = 1024;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([seed, limit], stream)) = settings::<2>(data) else { return };
    let limit = match limit {
        0..=63 => usize::from(*limit),
        64..=127 => usize::from(*limit) * 16,
        _ => usize::MAX >> 1,
    };
    let whole = read(std::iter::once(stream), limit);
    assert_eq!(read(Cuts::new(stream, *seed), limit), whole, "the cuts change the events");
    assert_eq!(read(stream.chunks(1), limit), whole, "single bytes change the events");
    let (events, end) = whole;
    for event in &events {
        assert!(event.data.len() <= limit, "an event beyond the limit");
        for text in [&event.name, &event.id].into_iter().flatten() {
            assert!(text.len() <= FIELD_BYTES_MAX && !text.contains(['\n', '\r']));
        }
        assert!(event.id.as_ref().is_none_or(|id| !id.contains('\0')));
    }
    let wanted = by_the_book(stream);
    match end {
        Ok(()) => assert_eq!(events, wanted),
        Err(fault) => {
            assert_eq!(fault.bytes_max, limit);
            assert!(stream.len() > limit, "a short stream is too large");
            assert!(wanted.starts_with(&events), "other events before the end");
        }
    }
});

/// All events up to the end or the fault, which then stays.
fn read<'d>(chunks: impl Iterator<Item = &'d [u8]>, limit: usize) -> (Vec<Event>, Result<(), EventTooLarge>) {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(fault) => {
                    decoder.feed(b"\n\ndata: x\n\n");
                    assert_eq!(decoder.next_event(), Err(fault), "a fault is for good");
                    return (events, Err(fault));
                }
            }
        }
    }
    (events, Ok(()))
}

/// WHATWG HTML 9.2.6, with the differences that [`Event`] states: ids are those of their event, events without data count when they set
/// an id or a time.
fn by_the_book(stream: &[u8]) -> Vec<Event> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let (mut events, mut event, mut data) = (Vec::new(), Event::default(), Vec::<Vec<u8>>::new());
    for line in lines(stream) {
        if line.is_empty() {
            let mut done = std::mem::take(&mut event);
            done.data = data.join(&b'\n').into();
            if !std::mem::take(&mut data).is_empty() || done.id.is_some() || done.retry_ms.is_some() {
                events.push(done);
            }
            continue;
        }
        let colon = line.iter().position(|b| *b == b':');
        let (name, value) = colon.map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= FIELD_BYTES_MAX);
        match (name, text) {
            (b"data", _) => data.push(value.to_vec()),
            (b"event", text) => event.name = text.filter(|text| !text.is_empty()).map(Into::into),
            (b"id", Some(text)) if !text.contains('\0') => event.id = Some(text.into()),
            (b"retry", Some(text)) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                event.retry_ms = text.parse().ok().or(event.retry_ms);
            }
            _ => {}
        }
    }
    events
}

/// The complete lines, whichever of the three ends they have.
fn lines(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) {
        lines.push(&rest[..end]);
        let width = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    lines
}
