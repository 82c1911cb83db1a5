//! What one call costs the client. Not a gate: it prints figures, and is run by hand in a release build:
//! `cargo test --release -p bailiwick-mcp --test it client_cost -- --ignored --nocapture`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bailiwick_mcp::Json;
use bailiwick_mcp::client::{Cancel, EraSetting, HttpEndpoint, Options, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client_fake::{Direct, options, outgoing};

const CALLS: u32 = 20_000;

/// A server in a thread of its own that looks at nothing but the id.
fn server(result: String) -> SocketAddr {
    let (say, address) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            say.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, result.clone()));
            }
        });
    });
    address.recv().unwrap()
}

async fn serve(mut stream: TcpStream, result: String) {
    let mut buffer = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = std::str::from_utf8(&buffer[..at]).unwrap();
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
                break (at + 4, length.parse::<usize>().unwrap());
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = std::str::from_utf8(&buffer[head..head + length]).unwrap();
        let answer = match body.split("\"id\":").nth(1).and_then(|rest| rest.split(',').next()) {
            None => "HTTP/1.1 202 X\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Some(id) => {
                let result =
                    if body.contains("\"initialize\"") { r#"{"protocolVersion":"2025-11-25","capabilities":{}}"# } else { &result };
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
                format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            }
        };
        buffer.drain(..head + length);
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Time this thread has spent on a processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn measure(what: &str, calls: u32, at_once: u32, mut work: impl FnMut() -> std::pin::Pin<Box<dyn Future<Output = ()>>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        for _ in 0..100 {
            work().await;
        }
        let (cpu, wall) = (processor_time(), Instant::now());
        let mut lanes = Vec::new();
        for _ in 0..at_once {
            let lane: Vec<_> = (0..calls / at_once).map(|_| work()).collect();
            lanes.push(tokio::task::spawn_local(async move {
                for one in lane {
                    one.await;
                }
            }));
        }
        for lane in lanes {
            lane.await.unwrap();
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(calls);
        println!("{what:42} x{at_once:<3} cpu {:8.2} us  wall {:8.2} us", each(processor_time() - cpu), each(wall.elapsed()));
    });
}

/// The bare exchange: one write, one read, nothing understood.
fn bare(address: SocketAddr, calls: u32) {
    let request = "POST /mcp HTTP/1.1\r\ncontent-length: 97\r\n\r\n".to_owned()
        + &format!("{:<97}", r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"t":"x"}}}"#);
    let stream = std::rc::Rc::new(tokio::sync::Mutex::new(None::<TcpStream>));
    measure("bare write and read", calls, 1, move || {
        let (stream, request) = (std::rc::Rc::clone(&stream), request.clone());
        Box::pin(async move {
            let mut place = stream.lock().await;
            if place.is_none() {
                let connected = TcpStream::connect(address).await.unwrap();
                connected.set_nodelay(true).unwrap();
                *place = Some(connected);
            }
            let stream = place.as_mut().unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        })
    });
}

fn upstream(address: SocketAddr, era: EraSetting) -> Upstream {
    let endpoint = HttpEndpoint::parse(&format!("http://{address}/mcp"), Vec::new()).unwrap();
    Upstream::http(&endpoint, std::sync::Arc::new(Direct), Options { era, ..options() }).unwrap()
}

#[test]
#[ignore = "prints figures; run by hand in a release build"]
fn one_call() {
    let small = server(r#"{"content":[{"type":"text","text":"0123456789012345678901234567890123456789012345678901234567890123"}]}"#.into());
    let large = server(format!(r#"{{"supportedVersions":["2026-07-28"],"content":[{{"type":"text","text":"{}"}}]}}"#, "x".repeat(1 << 20)));
    bare(small, CALLS);
    for (what, era) in [("modern", EraSetting::Modern), ("legacy", EraSetting::Legacy)] {
        for (size, address, calls) in [("64 B", small, CALLS), ("1 MiB", large, 500)] {
            for at_once in [1, 16] {
                let upstream = upstream(address, era);
                measure(&format!("{what}, result of {size}"), calls, at_once, || {
                    let upstream = upstream.clone();
                    Box::pin(async move {
                        let (arguments, cancel) = (Json::from_static(r#"{"text":"hello"}"#), Cancel::new());
                        upstream.call(outgoing("echo", &arguments, &cancel)).await.unwrap();
                    })
                });
            }
        }
    }
}
