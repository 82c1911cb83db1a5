//! The HTTP client that modules share: what goes out, what is refused, what is bounded.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_modules::Cancel;
use bailiwick_modules::egress::{BaseUrl, Egress, HttpClient, HttpFault, HttpFaultKind, HttpLimits, HttpRequest, Rules, Tls};
use http::{HeaderValue, Method, header};
use tokio::io::AsyncWriteExt;

use crate::service::{FakeService, RecordingNetwork, Reply, header_names};
use crate::support::context;

const LIMITS: HttpLimits = HttpLimits { timeout: Duration::from_secs(20), response_bytes_max: 1000 };

fn client(url: &str, network: Arc<RecordingNetwork>) -> HttpClient {
    let base = BaseUrl::parse(url).unwrap();
    let rules = Rules::for_configured_host(&base.host, Vec::new());
    HttpClient::new(base, Egress::new(network), rules, Tls::default(), LIMITS)
}

async fn send(client: &HttpClient, request: HttpRequest) -> Result<(u16, String), HttpFault> {
    let cancel = Cancel::new();
    let answer = client.send(request, context(Instant::now() + Duration::from_secs(20), &cancel)).await?;
    Ok((answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap()))
}

fn get(target: &str) -> HttpRequest {
    HttpRequest::new(Method::GET, target.to_owned())
}

#[tokio::test]
async fn a_request_goes_out_as_written_and_a_connection_is_used_again() {
    let service = FakeService::start(|request| Reply::new(201, request.target.clone())).await;
    let network = Arc::new(RecordingNetwork::default());
    let client = client(&format!("{}/base", service.url()), network.clone());
    let mut token = HeaderValue::from_static("Bearer t");
    token.set_sensitive(true);
    let post =
        HttpRequest::new(Method::POST, client.base().at("/x?q=1")).with(header::AUTHORIZATION, token).with_body("text/plain", "hello");
    assert_eq!(send(&client, post).await.unwrap(), (201, "/base/x?q=1".to_owned()));
    assert_eq!(send(&client, get("/y")).await.unwrap(), (201, "/y".to_owned()));
    let received = service.received();
    assert_eq!(header_names(&received[0]), ["accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent"]);
    assert_eq!(received[0].header("host"), Some(service.address.to_string().as_str()));
    assert_eq!(received[0].text(), "hello");
    assert_eq!(received[1].header("content-length"), None);
    assert_eq!(network.dialled.lock().unwrap().len(), 1, "one connection for both");
}

#[tokio::test]
async fn redirects_and_oversized_and_falsely_compressed_answers_end_here() {
    let service = FakeService::start(|request| match request.target.as_str() {
        "/there" => Reply::new(302, "").with("location", "/elsewhere"),
        "/large" => Reply::new(200, vec![b'x'; 1001]),
        "/fits" => Reply::new(200, vec![b'x'; 1000]),
        _ => Reply::new(200, "zip").with("content-encoding", "gzip"),
    })
    .await;
    let client = client(&service.url(), Arc::default());
    assert_eq!(send(&client, get("/there")).await.unwrap().0, 302);
    assert_eq!(send(&client, get("/large")).await.unwrap_err().kind, HttpFaultKind::TooLarge(1000));
    assert!(send(&client, get("/fits")).await.is_ok());
    assert_eq!(send(&client, get("/zip")).await.unwrap_err().kind, HttpFaultKind::Protocol, "it is not what it says");
    assert_eq!(service.received().len(), 4, "nothing was followed or repeated");
}

/// Nobody asks for compression, and some services compress all the same.
#[tokio::test]
async fn compressed_answers_are_undone_within_the_limit() {
    let service = FakeService::start(|request| {
        let (coding, body) = match request.target.as_str() {
            "/gzip" => ("GZIP", gzip(b"hello")),
            "/zlib" => ("deflate", zlib(b"hello")),
            "/raw" => ("deflate", deflate(b"hello")),
            // `hello`, stored: what every encoder gives for a text of this size.
            "/br" => ("br", b"\x0b\x02\x80hello\x03".to_vec()),
            "/twice" => ("deflate, gzip", gzip(&zlib(b"hello"))),
            "/none" => ("identity", b"hello".to_vec()),
            "/empty" => ("gzip", Vec::new()),
            "/fits" => ("gzip", gzip(&[b'x'; 1000])),
            "/bomb" => ("gzip", gzip(&vec![b'x'; 1 << 20])[..].to_vec()),
            "/bombs" => ("gzip, gzip", gzip(&gzip(&vec![b'x'; 50 << 20]))),
            "/half" => ("gzip", gzip(b"hello")[..12].to_vec()),
            "/thrice" => ("gzip, gzip, gzip", gzip(&gzip(&gzip(b"hello")))),
            _ => ("zstd", b"hello".to_vec()),
        };
        Reply::new(200, body).with("content-encoding", coding)
    })
    .await;
    // The bombs are smaller than the limit as they come.
    let limits = HttpLimits { response_bytes_max: 5_000, ..LIMITS };
    let base = BaseUrl::parse(&service.url()).unwrap();
    let rules = Rules::for_configured_host(&base.host, Vec::new());
    let client = HttpClient::new(base, Egress::new(Arc::new(RecordingNetwork::default())), rules, Tls::default(), limits);
    for path in ["/gzip", "/zlib", "/raw", "/br", "/twice", "/none"] {
        assert_eq!(send(&client, get(path)).await.unwrap(), (200, "hello".to_owned()), "{path}");
    }
    assert_eq!(send(&client, get("/empty")).await.unwrap().1, "");
    assert_eq!(send(&client, get("/fits")).await.unwrap().1.len(), 1000);
    for path in ["/bomb", "/bombs"] {
        assert_eq!(send(&client, get(path)).await.unwrap_err().kind, HttpFaultKind::TooLarge(5_000), "{path}");
    }
    for path in ["/half", "/thrice", "/zstd"] {
        assert_eq!(send(&client, get(path)).await.unwrap_err().kind, HttpFaultKind::Protocol, "{path}");
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_dialled() {
    let names = [("inside.example", vec!["10.0.0.1"]), ("mixed.example", vec!["93.184.216.34", "127.0.0.1"])];
    let names = names.map(|(name, found)| (name.to_owned(), found.iter().map(|a| a.parse().unwrap()).collect()));
    let network = Arc::new(RecordingNetwork { names: names.into(), ..RecordingNetwork::default() });
    for host in ["inside.example", "mixed.example", "metadata.google.internal"] {
        let fault = send(&client(&format!("http://{host}"), network.clone()), get("/")).await.unwrap_err();
        assert_eq!((fault.kind, fault.sent), (HttpFaultKind::Denied, false), "{host}");
    }
    assert!(network.dialled.lock().unwrap().is_empty());
    assert_eq!(network.resolved.lock().unwrap().len(), 2, "the metadata name is not even looked up");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_never_comes_is_a_fault() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        first.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
        drop(first);
        let (silent, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(silent);
    });
    let client = client(&url, Arc::default());
    assert_eq!(send(&client, get("/")).await.unwrap_err().kind, HttpFaultKind::Protocol);
    let cancel = Cancel::new();
    let fault = client.send(get("/"), context(Instant::now() + Duration::from_millis(50), &cancel)).await.unwrap_err();
    assert_eq!((fault.kind, fault.sent), (HttpFaultKind::Timeout, true));
    cancel.cancel();
    let fault = client.send(get("/"), context(Instant::now() + Duration::from_secs(20), &cancel)).await.unwrap_err();
    assert_eq!(fault.kind, HttpFaultKind::Cancelled);
}
