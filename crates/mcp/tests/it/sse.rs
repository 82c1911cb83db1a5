use bailiwick_mcp::encode;
use bailiwick_mcp::sse::{Decoder, Event, EventTooLarge};
use bailiwick_mcp::{Id, Json};
use proptest::prelude::*;

fn events(decoder: &mut Decoder, chunk: &[u8]) -> Result<Vec<Event>, EventTooLarge> {
    decoder.feed(chunk);
    let mut out = Vec::new();
    while let Some(event) = decoder.next_event()? {
        out.push(event);
    }
    Ok(out)
}

fn all(stream: &[u8]) -> Vec<Event> {
    events(&mut Decoder::new(1000), stream).unwrap()
}

fn data(text: &'static str) -> Event {
    Event { data: text.into(), ..Event::default() }
}

#[test]
fn reads_what_the_standard_defines() {
    let table: Vec<(&str, Vec<Event>)> = vec![
        ("data: a\n\n", vec![data("a")]),
        ("data:a\r\n\r\n", vec![data("a")]),
        ("data: a\r\rdata: b\r\r", vec![data("a"), data("b")]),
        ("data:  a \n\n", vec![data(" a ")]),
        ("data: a\ndata\ndata: c\n\n", vec![data("a\n\nc")]),
        ("data\n\n", vec![data("")]),
        ("data\ndata\n\n", vec![data("\n")]),
        (": comment\n\n:\n\ndata: a\n: inside\n\n", vec![data("a")]),
        ("event: endpoint\ndata: /m?s=1\n\n", vec![Event { name: Some("endpoint".into()), ..data("/m?s=1") }]),
        ("event: message\ndata: a\n\ndata: b\n\n", vec![Event { name: Some("message".into()), ..data("a") }, data("b")]),
        ("event: x\n\ndata: a\n\n", vec![data("a")]),
        ("id: 7\ndata: a\n\ndata: b\n\n", vec![Event { id: Some("7".into()), ..data("a") }, data("b")]),
        ("id: 7\nretry: 1500\ndata:\n\n", vec![Event { id: Some("7".into()), retry_ms: Some(1500), ..Event::default() }]),
        ("id: a\nid: b\0\nretry: 5s\ndata: x\n\n", vec![Event { id: Some("a".into()), ..data("x") }]),
        ("retry: 10\n\n", vec![Event { retry_ms: Some(10), ..Event::default() }]),
        ("unknown: x\nDATA: y\n data: z\n\n", vec![]),
        ("\u{feff}data: a\n\n", vec![data("a")]),
        ("\n\n\r\n\r", vec![]),
        ("data: unfinished\n", vec![]),
        ("data: {\"a\":\"b: c\"}\n\n", vec![data("{\"a\":\"b: c\"}")]),
    ];
    for (stream, wanted) in table {
        assert_eq!(all(stream.as_bytes()), wanted, "{stream:?}");
        // Cut anywhere, the events are the same.
        for cut in 0..stream.len() {
            let mut decoder = Decoder::new(1000);
            let mut got = events(&mut decoder, &stream.as_bytes()[..cut]).unwrap();
            got.extend(events(&mut decoder, &stream.as_bytes()[cut..]).unwrap());
            assert_eq!(got, wanted, "{stream:?} cut at {cut}");
        }
    }
}

#[test]
fn message_events_are_told_from_others() {
    assert!(all(b"data: a\n\n")[0].is_message() && all(b"event: message\ndata: a\n\n")[0].is_message());
    assert!(!all(b"event: endpoint\ndata: a\n\n")[0].is_message());
    assert!(all(b"event\ndata: a\n\n")[0].is_message(), "an empty name is the default");
}

#[test]
fn an_event_beyond_the_limit_ends_the_stream() {
    let fits = format!("data: {}\n\n", "x".repeat(90));
    let mut decoder = Decoder::new(100);
    for _ in 0..10 {
        assert_eq!(events(&mut decoder, fits.as_bytes()).unwrap().len(), 1, "the limit is per event");
    }
    let too_long = EventTooLarge { bytes_max: 100 };
    for stream in [
        "data: ".to_owned() + &"x".repeat(100),
        format!("data: {}\n", "x".repeat(101)),
        "data: xxxxxxxxxx\n".repeat(11),
        "x".repeat(101),
        format!("data: {}\ndata: {}\n\n", "x".repeat(60), "x".repeat(60)),
    ] {
        let mut decoder = Decoder::new(100);
        let mut outcome = Ok(Vec::new());
        for chunk in stream.as_bytes().chunks(7) {
            outcome = events(&mut decoder, chunk);
        }
        assert_eq!(outcome, Err(too_long), "{stream}");
        assert_eq!(events(&mut decoder, b"\n\ndata: a\n\n"), Err(too_long), "for good");
    }
    assert_eq!(too_long.to_string(), "an event of the stream is longer than 100 bytes");
}

#[test]
fn the_limit_does_not_depend_on_where_the_stream_is_cut() {
    // Each has lines beyond the limit of 20 bytes that hold less data than that, or none at all.
    for stream in [
        "data: 12345678901234567890\n\ndata: 1\n\n",
        ": a comment that is longer than the limit\ndata: 1\n\n",
        "id: 123456789012345678901234567890\n\n",
        "data: 1234567890\ndata: 12345\n\n",
        "\u{feff}data: 123456789012\n\n",
        "data: 1\n\n\nunknown: 12345678901234\r\n",
    ] {
        let read = |size: usize| {
            let (mut decoder, mut got, mut end) = (Decoder::new(20), Vec::new(), Ok(()));
            for chunk in stream.as_bytes().chunks(size) {
                decoder.feed(chunk);
                end = loop {
                    match decoder.next_event() {
                        Ok(Some(event)) => got.push(event),
                        Ok(None) => break Ok(()),
                        Err(fault) => break Err(fault),
                    }
                };
            }
            (got, end)
        };
        let whole = read(stream.len());
        assert_eq!(whole.1, Err(EventTooLarge { bytes_max: 20 }), "{stream:?}");
        for size in 1..stream.len() {
            assert_eq!(read(size), whole, "{stream:?} in chunks of {size}");
        }
    }
    assert_eq!(events(&mut Decoder::new(20), b"data: 12345678901234\n\n").unwrap().len(), 1, "exactly the limit");
}

#[test]
fn reads_what_we_write() {
    let result = Json::from_text(&"long ".repeat(10_000));
    let frame = encode::result(&Id::Integer(1), &result);
    let body = frame.to_bytes();
    let mut decoder = Decoder::new(1 << 20);
    let stream =
        [encode::priming_event("s-0", None).to_bytes(), encode::SSE_KEEP_ALIVE.into(), frame.into_sse_event(Some("s-1")).to_bytes()]
            .concat();
    let got: Vec<Event> = stream.chunks(1000).flat_map(|chunk| events(&mut decoder, chunk).unwrap()).collect();
    assert_eq!(got.len(), 2);
    assert_eq!((got[0].id.as_deref(), got[0].data.len()), (Some("s-0"), 0));
    assert_eq!((got[1].id.as_deref(), &got[1].data, got[1].is_message()), (Some("s-1"), &body, true));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunking_never_changes_the_events(stream in "(data|event|id|retry|:|x|[a-c0-9: \n\r]{1,3}|\n\n){0,30}", cuts in prop::collection::vec(1_usize..6, 1..40)) {
        let whole = all(stream.as_bytes());
        let mut decoder = Decoder::new(1000);
        let (mut rest, mut got) = (stream.as_bytes(), Vec::new());
        for cut in cuts.iter().cycle() {
            let (chunk, more) = rest.split_at((*cut).min(rest.len()));
            got.extend(events(&mut decoder, chunk).unwrap());
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(got, whole);
    }

    #[test]
    fn random_bytes_never_panic_or_pile_up(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
        let mut decoder = Decoder::new(64);
        for chunk in chunks {
            let _ = events(&mut decoder, &chunk);
        }
    }
}
