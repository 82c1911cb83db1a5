use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bailiwick_mcp::stdio::{Line, LineReader, LineWriter};
use bailiwick_mcp::{Id, Json, encode};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Gives its chunks one by one, with a pause before each.
struct Chunks {
    chunks: Vec<Vec<u8>>,
    paused: bool,
}

impl AsyncRead for Chunks {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.paused, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.paused = false;
        if let Some(chunk) = self.chunks.first_mut() {
            let count = chunk.len().min(out.remaining());
            out.put_slice(&chunk.drain(..count).collect::<Vec<_>>());
            if chunk.is_empty() {
                self.chunks.remove(0);
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn chunks(text: &[u8], size: usize) -> Chunks {
    Chunks { chunks: text.chunks(size).map(<[u8]>::to_vec).collect(), paused: false }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn lines(text: &[u8], size: usize, limit: usize) -> Vec<Line> {
    block_on(async {
        let mut reader = LineReader::with_limit(chunks(text, size), limit);
        let mut out = Vec::new();
        loop {
            match reader.next().await.unwrap() {
                Line::End => break,
                line => out.push(line),
            }
        }
        assert_eq!(reader.next().await.unwrap(), Line::End, "the end stays the end");
        out
    })
}

fn text(text: &'static str) -> Line {
    Line::Text(text.into())
}

#[test]
fn lines_come_out_whatever_the_pipe_delivers() {
    let table: Vec<(&str, Vec<Line>)> = vec![
        ("", vec![]),
        ("\n\r\n  \n", vec![]),
        ("{}\n", vec![text("{}")]),
        ("{}\r\n[]\r\n", vec![text("{}"), text("[]")]),
        ("a\n\nb", vec![text("a"), text("b")]),
        ("a\rb\n", vec![text("a\rb")]),
        ("last\r", vec![text("last")]),
        ("12345678\n", vec![text("12345678")]),
        ("12345678\r\n", vec![text("12345678")]),
        ("123456789\nok\n", vec![Line::TooLong(None), text("ok")]),
        ("123456789\r\nok\n", vec![Line::TooLong(None), text("ok")]),
        (
            "1234567890123456789012345678901234567890\nok\n1234567890\nok",
            vec![Line::TooLong(None), text("ok"), Line::TooLong(None), text("ok")],
        ),
        ("1234567890", vec![Line::TooLong(None)]),
        ("123456789", vec![Line::TooLong(None)]),
        ("12345678901234567890", vec![Line::TooLong(None)]),
    ];
    for (input, wanted) in table {
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(lines(input.as_bytes(), size, 8), wanted, "{input:?} in chunks of {size}");
        }
    }
}

#[test]
fn a_long_line_is_reported_before_it_ends_and_not_kept() {
    block_on(async {
        let (mut far, near) = tokio::io::duplex(64);
        let mut reader = LineReader::with_limit(near, 100);
        let writer = tokio::spawn(async move {
            for _ in 0..10_000 {
                tokio::io::AsyncWriteExt::write_all(&mut far, &[b'x'; 64]).await.unwrap();
            }
            tokio::io::AsyncWriteExt::write_all(&mut far, b"\nnext\n").await.unwrap();
        });
        assert_eq!(reader.next().await.unwrap(), Line::TooLong(None));
        assert!(!writer.is_finished(), "told while the line still runs");
        assert_eq!(reader.next().await.unwrap(), text("next"));
        assert_eq!(reader.next().await.unwrap(), Line::End);
    });
}

/// Over a pipe a caller can only match the refusal to its request by the id.
#[test]
fn a_long_line_is_reported_with_the_id_of_its_request() {
    let long = "\\\"}],x".repeat(40);
    let seven = Some(Id::from(7_u64));
    let table = [
        (format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"a":["{long}"]}}}}"#), seven.clone()),
        (format!(r#"{{ "method" : "tools/call","params":{{"a":["{long}"]}},"jsonrpc":"2.0", "id" : 7 }}"#), seven.clone()),
        (format!(r#"{{"id":7,"method":"x","params":{{"id":8,"a":"{long}"}},"id":9}}"#), seven),
        (format!(r#"{{"id":"{}","method":"x","params":"{long}"}}"#, "y".repeat(1100)), None),
        (format!(r#"{{"method":"x","params":{{"id":8,"a":"{long}"}}}}"#), None),
        (format!(r#"{{"id":7,"result":{{"method":"x","a":"{long}"}}}}"#), None),
        (format!(r#"[{{"id":7,"method":"{long}"}}]"#), None),
        (format!(r#"{{"params":"{long}"],"id":7,"method":"x"}}"#), None),
    ];
    for (input, id) in table {
        for size in [1, 7, 64, 10_000] {
            let wanted = vec![Line::TooLong(id.clone()), text("ok")];
            assert_eq!(lines(format!("{input}\nok\n").as_bytes(), size, 60), wanted, "{input:.40} in chunks of {size}");
            assert_eq!(lines(input.as_bytes(), size, 60), wanted[..1], "{input:.40} in chunks of {size}");
        }
    }
}

#[test]
fn a_dropped_read_loses_nothing() {
    block_on(async {
        let mut reader = LineReader::new(chunks(b"first line\nsecond\n", 3));
        let mut got = Vec::new();
        let mut dropped = 0;
        while got.len() < 2 {
            // Poll once; a future that is not ready is dropped and asked for again.
            let mut next = Box::pin(reader.next());
            match std::future::poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
                Poll::Ready(line) => got.push(line.unwrap()),
                Poll::Pending => dropped += 1,
            }
        }
        assert_eq!(got, [text("first line"), text("second")]);
        assert!(dropped >= 6);
    });
}

#[test]
fn messages_are_written_as_single_lines() {
    block_on(async {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let large = Json::from_text(&"line\n".repeat(10_000));
        let frame = encode::result(&Id::Integer(1), &large);
        let wanted = [&frame.to_bytes()[..], b"\n", &encode::notification("n", None).to_bytes(), b"\n"].concat();
        let writing = tokio::spawn(async move {
            let mut writer = LineWriter::new(near);
            writer.write(frame).await.unwrap();
            writer.write(encode::notification("n", None)).await.unwrap();
            writer.close().await.unwrap();
        });
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        writing.await.unwrap();
        assert!(got == wanted);
        assert_eq!(got.iter().filter(|byte| **byte == b'\n').count(), 2);
    });
}

#[test]
fn a_closed_pipe_is_an_error_for_the_writer() {
    block_on(async {
        let (near, far) = tokio::io::duplex(16);
        drop(far);
        assert!(LineWriter::new(near).write(encode::notification("n", None)).await.is_err());
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_are_those_of_the_text(input in "[a \r\n]{0,60}", size in 1_usize..10, limit in 1_usize..12) {
        let wanted: Vec<Line> = input
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            // A blank line that is too long is still too long.
            .filter(|line| line.len() > limit || !line.trim_ascii().is_empty())
            .map(|line| if line.len() > limit { Line::TooLong(None) } else { Line::Text(line.to_owned().into()) })
            .collect();
        prop_assert_eq!(lines(input.as_bytes(), size, limit), wanted);
    }
}
