//! Tables of hostile and of harmless addresses, answers, paths, parameters, redirects and headers. Every row says what is dialled and what
//! stands on the wire; a refused row says that nothing is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bailiwick_model::Code;
use serde_json::{Value, json};

use crate::service::{FakeService, RecordingNetwork, Reply, host};
use crate::support::{Agent, try_open_on};

/// Answers a look-up when the row has nothing else to say.
const PUBLIC: &str = "93.184.216.34";

/// One service behind a network in which every address leads to it.
struct Scene {
    service: FakeService,
    network: Arc<RecordingNetwork>,
}

impl Scene {
    async fn new(answers: &[&[&str]], reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        // Closing makes every call dial anew.
        let service = FakeService::start(move |request| reply(&request.target).with("connection", "close")).await;
        let next = answers.iter().map(|answer| answer.iter().map(|a| a.parse().unwrap()).collect()).collect();
        let network =
            Arc::new(RecordingNetwork { leads_to: Some(service.address), next_answers: std::sync::Mutex::new(next), ..Default::default() });
        Self { service, network }
    }

    async fn public() -> Self {
        Self::new(&vec![&[PUBLIC][..]; 64], |_| Reply::new(200, "{}")).await
    }

    fn open(&self, entry: &Value) -> Result<Agent, bailiwick_modules::OpenFault> {
        let mut entry = entry.clone();
        entry["name"] = "s".into();
        let credentials = [("KEY", "c-r-e-d"), ("BASIC", "user:c-r-e-d")];
        try_open_on(&host(self.network.clone()), "http_proxy", "a", None, &json!({ "allowed_services": [entry] }), &credentials)
    }

    fn dialled(&self) -> Vec<SocketAddr> {
        std::mem::take(&mut *self.network.dialled.lock().unwrap())
    }

    fn targets(&self) -> Vec<String> {
        self.service.received().into_iter().map(|request| request.target).collect()
    }
}

async fn get(agent: &Agent, path: &str) -> Result<Value, Code> {
    agent.code("get", &json!({ "service": "s", "path": path })).await
}

/// Address and opened ranges of services that start, then what their first call dials.
const GOOD_BASES: &[(&str, &[&str], &str)] = &[
    ("http://api.example", &[], "93.184.216.34:80"),
    ("http://api.example/", &[], "93.184.216.34:80"),
    ("HTTP://API.Example/", &[], "93.184.216.34:80"),
    ("http://api.example.", &[], "93.184.216.34:80"),
    ("http://api.example:8080/v1", &[], "93.184.216.34:8080"),
    ("https://api.example", &[], "93.184.216.34:443"),
    ("https://api.example:8443/v1/", &[], "93.184.216.34:8443"),
    ("http://b\u{fc}cher.example", &[], "93.184.216.34:80"),
    ("http://xn--bcher-kva.example", &[], "93.184.216.34:80"),
    ("http://my_host.example", &[], "93.184.216.34:80"),
    ("http://127.0.0.1.example", &[], "93.184.216.34:80"),
    ("http://8.8.8.8", &[], "8.8.8.8:80"),
    ("http://8.8.8.8.", &[], "8.8.8.8:80"),
    ("http://134744072", &[], "8.8.8.8:80"),
    ("http://0x8.0x8.0x8.0x8", &[], "8.8.8.8:80"),
    ("http://[2606:4700::1111]", &[], "[2606:4700::1111]:80"),
    ("http://[2A00::1]:81/x", &[], "[2a00::1]:81"),
    ("http://9.255.255.255", &[], "9.255.255.255:80"),
    ("http://11.0.0.0", &[], "11.0.0.0:80"),
    ("http://100.63.255.255", &[], "100.63.255.255:80"),
    ("http://100.128.0.0", &[], "100.128.0.0:80"),
    ("http://126.255.255.255", &[], "126.255.255.255:80"),
    ("http://128.0.0.1", &[], "128.0.0.1:80"),
    ("http://169.253.255.255", &[], "169.253.255.255:80"),
    ("http://169.255.0.1", &[], "169.255.0.1:80"),
    ("http://172.15.255.255", &[], "172.15.255.255:80"),
    ("http://172.32.0.0", &[], "172.32.0.0:80"),
    ("http://192.0.1.1", &[], "192.0.1.1:80"),
    ("http://192.167.255.255", &[], "192.167.255.255:80"),
    ("http://198.17.255.255", &[], "198.17.255.255:80"),
    ("http://198.20.0.0", &[], "198.20.0.0:80"),
    ("http://223.255.255.255", &[], "223.255.255.255:80"),
    ("http://[2001:200::1]", &[], "[2001:200::1]:80"),
    ("http://[2003::1]", &[], "[2003::1]:80"),
    ("http://[3fff:1000::1]", &[], "[3fff:1000::1]:80"),
    ("http://127.0.0.1:9", &["127.0.0.1"], "127.0.0.1:9"),
    ("http://127.1:9", &["127.0.0.0/8"], "127.0.0.1:9"),
    ("http://[::1]:9", &["::1"], "[::1]:9"),
    ("http://10.1.2.3", &["10.0.0.0/8"], "10.1.2.3:80"),
    ("http://192.168.1.7:3000", &["192.168.1.7"], "192.168.1.7:3000"),
    ("http://[fd00::7]", &["fd00::/8"], "[fd00::7]:80"),
    ("http://100.64.0.9", &["100.64.0.0/10"], "100.64.0.9:80"),
    ("http://[::ffff:10.0.0.1]", &["10.0.0.0/8"], "[::ffff:10.0.0.1]:80"),
    ("http://[64:ff9b::8.8.8.8]", &["64:ff9b::/96"], "[64:ff9b::808:808]:80"),
    ("http://grafana:3000", &["172.16.0.0/12"], "93.184.216.34:3000"),
];

/// Address and opened ranges of services that do not start.
const BAD_BASES: &[(&str, &[&str])] = &[
    // No base address.
    ("", &[]),
    ("api.example", &[]),
    ("//api.example", &[]),
    ("ftp://api.example", &[]),
    ("file:///etc/passwd", &[]),
    ("gopher://api.example", &[]),
    ("ws://api.example", &[]),
    ("javascript:alert(1)", &[]),
    ("http:api.example", &[]),
    ("http:/api.example", &[]),
    ("http:///api.example", &[]),
    ("http://", &[]),
    ("http://./", &[]),
    ("http://api..example", &[]),
    ("http://api.example../", &[]),
    ("http://user@api.example", &[]),
    ("http://user:pass@api.example", &[]),
    ("http://:pass@api.example", &[]),
    ("http://@api.example", &[]),
    ("http://api.example@127.0.0.1", &["127.0.0.1"]),
    ("http://api.example\\@127.0.0.1", &["127.0.0.1"]),
    ("http://api.example%2f@127.0.0.1", &["127.0.0.1"]),
    ("http://api.example/?q=1", &[]),
    ("http://api.example/#f", &[]),
    ("http://api.example?", &[]),
    ("http://api.example:0", &[]),
    ("http://api.example:65536", &[]),
    ("http://api.example:-1", &[]),
    ("http://api.example:80x", &[]),
    (" http://api.example", &[]),
    ("http://api.example ", &[]),
    ("http://api.example/\r\nX: y", &[]),
    ("ht\ttp://api.example", &[]),
    ("http://api.exa\u{0}mple", &[]),
    ("http://api.example\\path", &[]),
    ("http://[::1", &["::1"]),
    ("http://[fe80::1%25eth0]", &["fe80::/10"]),
    ("http://api%2fexample", &[]),
    ("http://a;b.example", &[]),
    ("http://1.2.3.4.5", &[]),
    ("http://256.0.0.1", &[]),
    ("http://4294967296", &[]),
    ("http://08.8.8.8", &[]),
    // Paths that servers read in different ways.
    ("http://api.example//v1", &[]),
    ("http://api.example/a%2fb", &[]),
    ("http://api.example/a%5cb", &[]),
    ("http://api.example/a%252e", &[]),
    ("http://api.example/a;x/b", &[]),
    // Spellings of this machine.
    ("http://127.0.0.1", &[]),
    ("http://127.255.255.254", &[]),
    ("http://127.1", &[]),
    ("http://127.0.1", &[]),
    ("http://2130706433", &[]),
    ("http://0x7f000001", &[]),
    ("http://0x7f.1", &[]),
    ("http://0X7F.0x0.0x0.0x1", &[]),
    ("http://017700000001", &[]),
    ("http://0177.0.0.01", &[]),
    ("http://127.0.0.1.", &[]),
    ("http://%31%32%37.0.0.1", &[]),
    ("http://①②⑦.⓪.⓪.①", &[]),
    ("http://１２７.0.0.1", &[]),
    ("http://127。0。0。1", &[]),
    ("http://127．0．0．1", &[]),
    ("http://localhost", &[]),
    ("http://LOCALHOST", &[]),
    ("http://localhost.", &[]),
    ("http://api.localhost", &[]),
    ("http://ⓛocalhost", &[]),
    ("http://loc\u{ad}alhost", &[]),
    ("http://localhost", &["10.0.0.0/8"]),
    ("http://0", &[]),
    ("http://0.0.0.0", &[]),
    ("http://0.1.2.3", &[]),
    ("http://[::]", &[]),
    ("http://[::1]", &[]),
    ("http://[0:0:0:0:0:0:0:1]", &[]),
    ("http://[::ffff:127.0.0.1]", &[]),
    ("http://[::ffff:7f00:1]", &[]),
    ("http://[::127.0.0.1]", &[]),
    // Private, shared and local space.
    ("http://10.0.0.1", &[]),
    ("http://10.255.255.255", &[]),
    ("http://167772161", &[]),
    ("http://100.64.0.1", &[]),
    ("http://100.127.255.255", &[]),
    ("http://169.254.1.1", &[]),
    ("http://172.16.0.1", &[]),
    ("http://172.31.255.255", &[]),
    ("http://192.168.0.1", &[]),
    ("http://192.168.0.1", &["10.0.0.0/8"]),
    ("http://192.168.1.8", &["192.168.1.7"]),
    ("http://[fc00::1]", &[]),
    ("http://[fd12:3456::1]", &[]),
    ("http://[fe80::1]", &[]),
    ("http://[febf::1]", &[]),
    ("http://[fec0::1]", &[]),
    ("http://[::ffff:10.0.0.1]", &[]),
    ("http://[::ffff:10.0.0.1]", &["::/0"]),
    ("http://intranet", &[]),
    // Reserved space.
    ("http://192.0.0.1", &[]),
    ("http://192.0.2.1", &[]),
    ("http://192.88.99.1", &[]),
    ("http://198.18.0.1", &[]),
    ("http://198.19.255.255", &[]),
    ("http://198.51.100.1", &[]),
    ("http://203.0.113.1", &[]),
    ("http://224.0.0.1", &[]),
    ("http://239.255.255.250", &[]),
    ("http://240.0.0.1", &[]),
    ("http://255.255.255.255", &[]),
    ("http://[100::1]", &[]),
    ("http://[2001::1]", &[]),
    ("http://[2001:2::1]", &[]),
    ("http://[2001:20::1]", &[]),
    ("http://[2001:db8::1]", &[]),
    ("http://[2002:7f00:1::]", &[]),
    ("http://[2002:808:808::]", &[]),
    ("http://[3fff::1]", &[]),
    ("http://[5f00::1]", &[]),
    ("http://[64:ff9b::127.0.0.1]", &[]),
    ("http://[64:ff9b::8.8.8.8]", &[]),
    ("http://[64:ff9b:1::1]", &[]),
    ("http://[ff02::1]", &[]),
    ("http://[::8.8.8.8]", &[]),
    ("http://[1::1]", &[]),
    ("http://[4000::1]", &[]),
    // What carries IPv4 is opened no further than the address it carries.
    ("http://[64:ff9b::10.0.0.1]", &["64:ff9b::/96"]),
    ("http://[2002:a00:1::]", &["2002::/16"]),
    // Metadata services; no exception opens them.
    ("http://169.254.169.254", &["0.0.0.0/0"]),
    ("http://2852039166", &["0.0.0.0/0"]),
    ("http://0xa9fea9fe", &["0.0.0.0/0"]),
    ("http://169.254.170.2", &["169.254.0.0/16"]),
    ("http://169.254.170.23", &["169.254.170.23"]),
    ("http://168.63.129.16", &[]),
    ("http://100.100.100.200", &["100.64.0.0/10"]),
    ("http://[fd00:ec2::254]", &["fd00::/8"]),
    ("http://[fd20:ce::254]", &["::/0"]),
    ("http://[::ffff:169.254.169.254]", &["0.0.0.0/0"]),
    ("http://[64:ff9b::a9fe:a9fe]", &["::/0", "0.0.0.0/0"]),
    ("http://metadata.google.internal", &["0.0.0.0/0"]),
    ("http://METADATA.google.internal.", &["0.0.0.0/0"]),
    ("http://metadata.goog", &["0.0.0.0/0"]),
    ("http://metadata.azure.internal", &["0.0.0.0/0"]),
];

#[tokio::test]
async fn services_start_and_dial_where_they_say() {
    let plain = Scene::public().await;
    let mut refusing = Scene::public().await;
    refusing.network = Arc::new(RecordingNetwork { names: answering(&[("api.example", &[PUBLIC])]), ..Default::default() });
    for (base, ranges, dialled) in GOOD_BASES {
        // Nobody speaks TLS here; the dialled address says enough.
        let is_plain = base.to_ascii_lowercase().starts_with("http:");
        let scene = if is_plain { &plain } else { &refusing };
        let agent = scene.open(&json!({ "base_url": base, "allow_private": ranges })).unwrap_or_else(|fault| panic!("{base}: {fault}"));
        let called = get(&agent, "/x").await.map(drop);
        assert_eq!(called, if is_plain { Ok(()) } else { Err(Code::UpstreamUnreachable) }, "{base}");
        assert_eq!(scene.dialled(), [dialled.parse().unwrap()], "{base}");
    }
    assert!(plain.targets().iter().all(|target| target.ends_with("/x")));
}

#[tokio::test]
async fn services_that_lead_elsewhere_do_not_start() {
    let scene = Scene::public().await;
    for (base, ranges) in BAD_BASES {
        let fault = scene.open(&json!({ "base_url": base, "allow_private": ranges })).err().unwrap_or_else(|| panic!("`{base}` started"));
        assert_eq!(fault.key.as_deref(), Some("allowed_services.0.base_url"), "{base}: {fault}");
    }
    assert!(scene.dialled().is_empty() && scene.network.resolved.lock().unwrap().is_empty());
}

/// Opened ranges, the answers of the name server one after the other, and what each call dials (empty: refused before dialling).
type Answers = (&'static [&'static str], &'static [&'static [&'static str]], &'static [&'static str]);
const ANSWERS: &[Answers] = &[
    (&[], &[&["93.184.216.34"]], &["93.184.216.34:80"]),
    (&[], &[&["93.184.216.34", "1.1.1.1"]], &["93.184.216.34:80"]),
    (&[], &[&["2606:4700::1111", "1.1.1.1"]], &["[2606:4700::1111]:80"]),
    (&["10.0.0.0/8"], &[&["10.0.0.7"]], &["10.0.0.7:80"]),
    (&["10.0.0.0/8"], &[&["10.0.0.7", "1.1.1.1"]], &["10.0.0.7:80"]),
    (&["127.0.0.1"], &[&["127.0.0.1"]], &["127.0.0.1:80"]),
    (&["fd00::/8"], &[&["fd00::7"]], &["[fd00::7]:80"]),
    (&[], &[&["1.1.1.1"], &["1.1.1.1"]], &["1.1.1.1:80", "1.1.1.1:80"]),
    (&[], &[&["1.1.1.1"], &["8.8.8.8"]], &["1.1.1.1:80", "8.8.8.8:80"]),
    // Rebinding: each connection is judged by its own answer, and the one that was judged is dialled.
    (&[], &[&["1.1.1.1"], &["127.0.0.1"]], &["1.1.1.1:80", ""]),
    (&[], &[&["1.1.1.1"], &["169.254.169.254"], &["1.1.1.1"]], &["1.1.1.1:80", "", "1.1.1.1:80"]),
    (&["10.0.0.0/8"], &[&["10.0.0.7"], &["192.168.0.1"]], &["10.0.0.7:80", ""]),
    // One blocked answer refuses the name, wherever it stands.
    (&[], &[&["1.1.1.1", "10.0.0.1"]], &[""]),
    (&[], &[&["10.0.0.1", "1.1.1.1"]], &[""]),
    (&[], &[&["1.1.1.1", "8.8.8.8", "::1"]], &[""]),
    (&["10.0.0.0/8"], &[&["10.0.0.7", "192.168.0.1"]], &[""]),
    (&["10.0.0.0/8"], &[&["10.0.0.7", "127.0.0.1"]], &[""]),
    (&[], &[&["0.0.0.0"]], &[""]),
    (&[], &[&["127.0.0.1"]], &[""]),
    (&[], &[&["10.0.0.1"]], &[""]),
    (&[], &[&["100.64.0.1"]], &[""]),
    (&[], &[&["169.254.169.254"]], &[""]),
    (&["0.0.0.0/0"], &[&["169.254.169.254"]], &[""]),
    (&["0.0.0.0/0"], &[&["168.63.129.16"]], &[""]),
    (&["0.0.0.0/0", "::/0"], &[&["fd00:ec2::254"]], &[""]),
    (&["0.0.0.0/0", "::/0"], &[&["64:ff9b::a9fe:a9fe"]], &[""]),
    (&[], &[&["172.16.0.1"]], &[""]),
    (&[], &[&["192.0.0.1"]], &[""]),
    (&[], &[&["192.168.1.1"]], &[""]),
    (&[], &[&["198.18.0.1"]], &[""]),
    (&[], &[&["203.0.113.1"]], &[""]),
    (&[], &[&["224.0.0.1"]], &[""]),
    (&[], &[&["255.255.255.255"]], &[""]),
    (&[], &[&["::"]], &[""]),
    (&[], &[&["::1"]], &[""]),
    (&[], &[&["::ffff:127.0.0.1"]], &[""]),
    (&[], &[&["::ffff:8.8.8.8"]], &[""]),
    (&[], &[&["::127.0.0.1"]], &[""]),
    (&[], &[&["64:ff9b::7f00:1"]], &[""]),
    (&[], &[&["64:ff9b:1::1"]], &[""]),
    (&[], &[&["2002:7f00:1::"]], &[""]),
    (&[], &[&["2001:0:1::1"]], &[""]),
    (&[], &[&["2001:db8::1"]], &[""]),
    (&[], &[&["3fff::1"]], &[""]),
    (&[], &[&["fc00::1"]], &[""]),
    (&[], &[&["fe80::1"]], &[""]),
    (&[], &[&["fec0::1"]], &[""]),
    (&[], &[&["ff02::1"]], &[""]),
];

#[tokio::test]
async fn every_answer_of_the_name_server_is_judged_at_every_connection() {
    for (ranges, answers, dialled) in ANSWERS {
        let scene = Scene::new(answers, |_| Reply::new(200, "{}")).await;
        let agent = scene.open(&json!({ "base_url": "http://api.example", "allow_private": ranges })).unwrap();
        for wanted in *dialled {
            let verdict = get(&agent, "/x").await.map(drop);
            let wanted: Vec<SocketAddr> = wanted.parse().into_iter().collect();
            assert_eq!(verdict, if wanted.is_empty() { Err(Code::EgressDenied) } else { Ok(()) }, "{answers:?}");
            assert_eq!(scene.dialled(), wanted, "{answers:?}");
        }
        let sent = dialled.iter().filter(|dialled| !dialled.is_empty()).count();
        assert_eq!(scene.targets().len(), sent, "{answers:?}");
        assert!(scene.service.received().iter().all(|request| request.header("host") == Some("api.example")));
    }
    let scene = Scene::new(&[&[]], |_| Reply::new(200, "{}")).await;
    let agent = scene.open(&json!({ "base_url": "http://api.example" })).unwrap();
    assert_eq!(get(&agent, "/x").await, Err(Code::UpstreamUnreachable), "an empty answer");
    assert_eq!(get(&agent, "/x").await, Err(Code::UpstreamUnreachable), "no answer");
    assert!(scene.dialled().is_empty());
}

/// Base path, path, and the target on the wire.
const GOOD_PATHS: &[(&str, &str, &str)] = &[
    ("", "", "/"),
    ("", "/", "/"),
    ("", "users", "/users"),
    ("", "/users", "/users"),
    ("/api/v1", "", "/api/v1"),
    ("/api/v1/", "", "/api/v1"),
    ("/api/v1", "/", "/api/v1/"),
    ("/api/v1/", "users", "/api/v1/users"),
    ("/api/v1", "/users/", "/api/v1/users/"),
    ("/api/v1", "/users/1/posts", "/api/v1/users/1/posts"),
    ("/api/v1", "./users", "/api/v1/users"),
    ("/api/v1", "/users/./1", "/api/v1/users/1"),
    ("/api/v1", "/users/../teams", "/api/v1/teams"),
    ("/api/v1", "/users/1/../../teams", "/api/v1/teams"),
    ("/api/v1", "/users/..", "/api/v1/"),
    ("/api/v1", "/users/1/..", "/api/v1/users/"),
    ("/api/v1", ".", "/api/v1/"),
    ("/api/v1", "/users/.", "/api/v1/users/"),
    ("/api/v1", "/a//b", "/api/v1/a//b"),
    ("/api/v1", "/...", "/api/v1/..."),
    ("/api/v1", "/..a/b..", "/api/v1/..a/b.."),
    ("/api/v1", "/a..b/.well-known", "/api/v1/a..b/.well-known"),
    ("/api/v1", "/file.tar.gz", "/api/v1/file.tar.gz"),
    ("/api/v1", "/projects/group%2Fproject", "/api/v1/projects/group%2Fproject"),
    ("/api/v1", "/projects/group%2fproject/x", "/api/v1/projects/group%2fproject/x"),
    ("/api/v1", "/a b", "/api/v1/a%20b"),
    ("/api/v1", "/a%20b", "/api/v1/a%20b"),
    ("/api/v1", "/100%25", "/api/v1/100%25"),
    ("/api/v1", "/50%25%20off", "/api/v1/50%25%20off"),
    ("/api/v1", "/a%2541", "/api/v1/a%2541"),
    ("/api/v1", "/caf\u{e9}", "/api/v1/caf%C3%A9"),
    ("/api/v1", "/caf%C3%A9", "/api/v1/caf%C3%A9"),
    ("/api/v1", "/日本", "/api/v1/%E6%97%A5%E6%9C%AC"),
    ("/api/v1", "/．．/x", "/api/v1/%EF%BC%8E%EF%BC%8E/x"),
    ("/api/v1", "/a／..／b", "/api/v1/a%EF%BC%8F..%EF%BC%8Fb"),
    ("/api/v1", "/users/@me", "/api/v1/users/@me"),
    ("/api/v1", "/@scope/pkg", "/api/v1/@scope/pkg"),
    ("/api/v1", "/users/a@b.example", "/api/v1/users/a@b.example"),
    ("/api/v1", "/documents:annotate", "/api/v1/documents:annotate"),
    ("/api/v1", "things/1:undo", "/api/v1/things/1:undo"),
    ("/api/v1", "/matrix;v=1/x", "/api/v1/matrix;v=1/x"),
    ("/api/v1", "/a'b(c)*!$,+&=~", "/api/v1/a'b(c)*!$,+&=~"),
    ("/api/v1", "/\"<>^`{|}[]", "/api/v1/%22%3C%3E%5E%60%7B%7C%7D%5B%5D"),
    ("/api/v1", "/a%23b%3Fc", "/api/v1/a%23b%3Fc"),
    ("/api/v1", "/x?", "/api/v1/x"),
    ("/api/v1", "?q=1", "/api/v1?q=1"),
    ("", "?q=1", "/?q=1"),
    ("/api/v1", "/x?q=1&q=2", "/api/v1/x?q=1&q=2"),
    ("/api/v1", "/x?next=../../admin", "/api/v1/x?next=../../admin"),
    ("/api/v1", "/x?url=http://a.example/b?c", "/api/v1/x?url=http://a.example/b?c"),
    ("/api/v1", "/x?p=%2e%2e%2f%5c", "/api/v1/x?p=%2e%2e%2f%5c"),
    ("/api/v1", "/x?q=a b\u{e9}", "/api/v1/x?q=a%20b%C3%A9"),
    ("/api/v1", "/x?filter[name]=a|b", "/api/v1/x?filter%5Bname%5D=a%7Cb"),
];

/// Base path, path, and the word of the refusal: `S` scope_violation, `I` invalid_argument.
const BAD_PATHS: &[(&str, &str, char)] = &[
    // Climbing above the base path, also to come back or where there is nothing above.
    ("/api/v1", "..", 'S'),
    ("/api/v1", "../", 'S'),
    ("/api/v1", "/..", 'S'),
    ("/api/v1", "../admin", 'S'),
    ("/api/v1", "/../admin", 'S'),
    ("/api/v1", "../../admin", 'S'),
    ("/api/v1", "/../v1/users", 'S'),
    ("/api/v1", "/users/../../admin", 'S'),
    ("/api/v1", "/users/../../v1/users", 'S'),
    ("/api/v1", "/./../admin", 'S'),
    ("/api/v1", "/users/1/../../../admin", 'S'),
    ("/api/v1", "/users/1/../../..", 'S'),
    ("/api/v1", "/../v10/users", 'S'),
    ("", "..", 'S'),
    ("", "/../x", 'S'),
    ("", "/a/../../x", 'S'),
    // Encoded dots, once, twice and more.
    ("/api/v1", "%2e%2e/admin", 'S'),
    ("/api/v1", "/%2e%2e/admin", 'S'),
    ("/api/v1", "/%2E%2E/admin", 'S'),
    ("/api/v1", "/.%2e/admin", 'S'),
    ("/api/v1", "/%2e./admin", 'S'),
    ("/api/v1", "/%2e/x", 'S'),
    ("/api/v1", "/users/%2e%2e/x", 'S'),
    ("/api/v1", "/file%2etxt", 'S'),
    ("/api/v1", "/%252e%252e/admin", 'S'),
    ("/api/v1", "/%252E%252e/admin", 'S'),
    ("/api/v1", "/.%252e/admin", 'S'),
    ("/api/v1", "/%25252e%25252e/admin", 'S'),
    ("/api/v1", "/%25%32%65%25%32%65/admin", 'S'),
    ("/api/v1", "/%2525252525252e", 'S'),
    // Encoded slashes.
    ("/api/v1", "..%2fadmin", 'S'),
    ("/api/v1", "/..%2f..%2fadmin", 'S'),
    ("/api/v1", "/..%2Fadmin", 'S'),
    ("/api/v1", "/users%2f..%2f..%2fadmin", 'S'),
    ("/api/v1", "/users%2f..", 'S'),
    ("/api/v1", "/users%2f./x", 'S'),
    ("/api/v1", "/%2e%2e%2fadmin", 'S'),
    ("/api/v1", "/%2fadmin", 'S'),
    ("/api/v1", "%2f%2fhost/x", 'S'),
    ("/api/v1", "/%2f", 'S'),
    ("/api/v1", "/a%2f", 'S'),
    ("/api/v1", "/a%2f%2fb", 'S'),
    ("/api/v1", "/..%252fadmin", 'S'),
    ("/api/v1", "/a%252fb", 'S'),
    ("/api/v1", "/a%25252fb", 'S'),
    // What some servers read as dots.
    ("/api/v1", "/..;/admin", 'S'),
    ("/api/v1", "/..;x=1/admin", 'S'),
    ("/api/v1", "/.;/admin", 'S'),
    ("/api/v1", "/..%3b/admin", 'S'),
    ("/api/v1", "/..%3Bx/admin", 'S'),
    ("/api/v1", "/.. /admin", 'S'),
    ("/api/v1", "/..%20/admin", 'S'),
    ("/api/v1", "/%20../admin", 'S'),
    ("/api/v1", "/..\u{a0}/admin", 'S'),
    ("/api/v1", "/a%2f..;x%2fb", 'S'),
    // Another host.
    ("/api/v1", "//evil.example/x", 'S'),
    ("", "//evil.example/x", 'S'),
    ("", "///evil.example/x", 'S'),
    ("", "/.//evil.example/x", 'S'),
    ("", "/a/..//evil.example/x", 'S'),
    ("", "http://evil.example/x", 'S'),
    ("", "https://evil.example/x", 'S'),
    ("", "HTTP://evil.example/x", 'S'),
    ("", "http:evil.example", 'S'),
    ("", "http:/evil.example", 'S'),
    ("", "file:///etc/passwd", 'S'),
    ("", "javascript:alert(1)", 'S'),
    ("", "gopher://evil.example", 'S'),
    ("", "evil.example:80/x", 'S'),
    ("", "127.0.0.1:80/x", 'S'),
    ("", ":80/x", 'S'),
    ("", "@evil.example/x", 'S'),
    ("", "user@evil.example/x", 'S'),
    ("", "user:pass@evil.example/x", 'S'),
    ("", "[::1]:80/x", 'S'),
    // Backslashes.
    ("/api/v1", "..\\admin", 'I'),
    ("/api/v1", "/..\\..\\admin", 'I'),
    ("/api/v1", "\\\\evil.example\\x", 'I'),
    ("/api/v1", "/\\evil.example/x", 'I'),
    ("/api/v1", "/a\\b", 'I'),
    ("/api/v1", "/..%5cadmin", 'I'),
    ("/api/v1", "/a%5Cb", 'I'),
    ("/api/v1", "/%5c%5cevil.example", 'I'),
    ("/api/v1", "/..%255cadmin", 'S'),
    ("/api/v1", "/x?q=a\\b", 'I'),
    // Control characters and line breaks.
    ("/api/v1", "/a\nb", 'I'),
    ("/api/v1", "/a\r\nX-Evil: 1", 'I'),
    ("/api/v1", "/a HTTP/1.1\r\nHost: evil.example\r\n\r\nGET /b", 'I'),
    ("/api/v1", "/a\tb", 'I'),
    ("/api/v1", "\u{0}", 'I'),
    ("/api/v1", "/a\u{7f}", 'I'),
    ("/api/v1", "/a\u{85}", 'I'),
    ("/api/v1", "/a%00", 'I'),
    ("/api/v1", "/a%0d%0aX-Evil:%201", 'I'),
    ("/api/v1", "/a%0A", 'I'),
    ("/api/v1", "/a%09b", 'I'),
    ("/api/v1", "/a%1fb", 'I'),
    ("/api/v1", "/a%7f", 'I'),
    ("/api/v1", "/a%c2%85", 'I'),
    ("/api/v1", "/..%00/admin", 'I'),
    ("/api/v1", "/a%2500", 'S'),
    ("/api/v1", "/a%250d%250a", 'S'),
    ("/api/v1", "/x?q=%0d%0aX-Evil:%201", 'I'),
    ("/api/v1", "/x?q=%00", 'I'),
    ("/api/v1", "/x?q=a\nb", 'I'),
    // Fragments, stray percent signs, bytes that are no text.
    ("/api/v1", "/a#b", 'I'),
    ("/api/v1", "#", 'I'),
    ("/api/v1", "/x?q=1#f", 'I'),
    ("/api/v1", "/100%", 'I'),
    ("/api/v1", "/%zz", 'I'),
    ("/api/v1", "/%2", 'I'),
    ("/api/v1", "/%+2e", 'I'),
    ("/api/v1", "/%a\u{20ac}", 'I'),
    ("/api/v1", "/%\u{e9}", 'I'),
    ("/api/v1", "/%u002e%u002e/admin", 'I'),
    ("/api/v1", "/%c0%ae%c0%ae/admin", 'I'),
    ("/api/v1", "/%e0%80%ae/admin", 'I'),
    ("/api/v1", "/..%c0%afadmin", 'I'),
    ("/api/v1", "/%ff", 'I'),
    ("/api/v1", "/x?q=%", 'I'),
    ("/api/v1", "/x?q=%g1", 'I'),
];

fn word(letter: char) -> Code {
    if letter == 'S' { Code::ScopeViolation } else { Code::InvalidArgument }
}

#[tokio::test]
async fn a_path_beneath_the_base_goes_out_as_it_was_checked() {
    for (base, path, target) in GOOD_PATHS {
        let scene = Scene::public().await;
        let agent = scene.open(&json!({ "base_url": format!("http://api.example{base}") })).unwrap();
        get(&agent, path).await.unwrap_or_else(|code| panic!("{base} {path}: {code}"));
        assert_eq!(
            (scene.targets(), scene.dialled()),
            (vec![(*target).to_owned()], vec![SocketAddr::new(PUBLIC.parse().unwrap(), 80)]),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_path_that_leaves_the_base_goes_nowhere() {
    let scene = Scene::public().await;
    for (base, path, letter) in BAD_PATHS {
        let agent = scene.open(&json!({ "base_url": format!("http://api.example{base}") })).unwrap();
        for tool in ["get", "post", "put", "delete"] {
            let arguments = json!({ "service": "s", "path": path });
            assert_eq!(agent.0.confine(tool, &arguments.to_string()).map_err(|fault| fault.code), Err(word(*letter)), "{tool} {path:?}");
            assert_eq!(agent.code(tool, &arguments).await, Err(word(*letter)), "{tool} {path:?}");
        }
    }
    let agent = scene.open(&json!({ "base_url": "http://api.example" })).unwrap();
    assert_eq!(get(&agent, &"a".repeat(8_193)).await, Err(Code::InvalidArgument));
    assert!(scene.dialled().is_empty() && scene.network.resolved.lock().unwrap().is_empty());
}

/// Globs, path, whether it is opened.
const OPENED_PATHS: &[(&[&str], &str, bool)] = &[
    (&["/**"], "", true),
    (&["/**"], "/a/b", true),
    (&["/"], "", true),
    (&["/users/*"], "/users/1", true),
    (&["/users/*"], "users/1?all=true", true),
    (&["/users/*"], "/x/../users/1", true),
    (&["/users/*"], "/users/caf\u{e9}", true),
    (&["/users/caf?"], "/users/caf%C3%A9", true),
    (&["/users/*", "/teams/**"], "/teams/1/members", true),
    (&["/projects/**"], "/projects/group%2Fproject", true),
    (&["/users/a-b"], "/users/a%2Db", true),
    (&["/users/*"], "/users", false),
    (&["/users/*"], "/Users/1", false),
    (&["/users/*"], "/users/1/keys", false),
    (&["/users/*"], "/users/../admin", false),
    (&["/users/*"], "/users/1%2fkeys", false),
    (&["/projects/*"], "/projects/group%2Fproject", false),
    (&["/public/**"], "/public%2fx", false),
    (&["/public/**"], "/public;/x", false),
    (&["/public/*"], "/public/x;y/z", false),
    (&["/public*/**"], "/public;a/b", true),
    (&["/public?a/**"], "/public;a/b", false),
    (&["/a/*/c"], "/a//c", false),
    (&["/users/1"], "/users/1/", false),
    (&["/users/1"], "/users/1?", true),
    (&["/users/1"], "/xusers/1", false),
    (&["/users/%2A"], "/users/*", false),
];

#[tokio::test]
async fn only_opened_paths_pass_however_they_are_written() {
    for (globs, path, opened) in OPENED_PATHS {
        let scene = Scene::public().await;
        let agent = scene.open(&json!({ "base_url": "http://api.example/v1", "allowed_paths": globs })).unwrap();
        let verdict = get(&agent, path).await.map(drop);
        assert_eq!(verdict, if *opened { Ok(()) } else { Err(Code::ScopeViolation) }, "{globs:?} {path}");
        assert_eq!((scene.targets().len(), scene.dialled().len()), (usize::from(*opened), usize::from(*opened)), "{globs:?} {path}");
    }
}

#[tokio::test]
async fn parameters_are_data_and_nothing_else() {
    for (params, query) in [
        (json!(null), ""),
        (json!({}), ""),
        (json!({ "a": null }), ""),
        (json!({ "a": "" }), "?a="),
        (json!({ "a": "x", "b": 1, "c": 1.5, "d": true, "e": -7 }), "?a=x&b=1&c=1.5&d=true&e=-7"),
        (json!({ "a": ["x", 1, false, null] }), "?a=x&a=1&a=false"),
        (json!({ "a": [] }), ""),
        (json!({ "a": "b&c=d#e?f/g" }), "?a=b%26c%3Dd%23e%3Ff%2Fg"),
        (json!({ "a": "\r\nX-Evil: 1" }), "?a=%0D%0AX-Evil%3A%201"),
        (json!({ "a": "b+c %41" }), "?a=b%2Bc%20%2541"),
        (json!({ "a": "caf\u{e9}" }), "?a=caf%C3%A9"),
        (json!({ "a b&c": "x" }), "?a%20b%26c=x"),
        (json!({ "a[]": ["x"] }), "?a%5B%5D=x"),
    ] {
        let scene = Scene::public().await;
        let agent = scene.open(&json!({ "base_url": "http://api.example" })).unwrap();
        agent.call("get", &json!({ "service": "s", "path": "/x", "params": params })).await.unwrap();
        assert_eq!(scene.targets(), [format!("/x{query}")], "{params}");
    }
    let scene = Scene::public().await;
    let agent = scene.open(&json!({ "base_url": "http://api.example" })).unwrap();
    for arguments in [
        json!({ "service": "s", "path": "/x", "params": { "a": {} } }),
        json!({ "service": "s", "path": "/x", "params": { "a": [["b"]] } }),
        json!({ "service": "s", "path": "/x", "params": { "a": [{}] } }),
        json!({ "service": "s", "path": "/x", "params": "a=b" }),
        json!({ "service": "s", "path": "/x", "params": [] }),
        json!({ "service": "s", "path": 1 }),
        json!({ "service": ["s"], "path": "/x" }),
        json!({ "path": "/x" }),
        json!({ "service": "s" }),
    ] {
        assert_eq!(agent.0.confine("get", &arguments.to_string()).unwrap_err().code, Code::InvalidArgument, "{arguments}");
        assert_eq!(agent.code("get", &arguments).await, Err(Code::InvalidArgument), "{arguments}");
    }
    for body in [json!([]), json!("x"), json!(1), json!(true)] {
        assert_eq!(agent.code("post", &json!({ "service": "s", "path": "/x", "body": body })).await, Err(Code::InvalidArgument), "{body}");
    }
    assert!(scene.dialled().is_empty());
    let exact = r#"{"service":"s","path":"/x","params":{"z":12345678901234567890123,"a":1.10}}"#;
    agent.call_as("get", exact).await.unwrap();
    assert_eq!(scene.targets(), ["/x?z=12345678901234567890123&a=1.10"], "as written, in the order given");
}

/// Headers an operator must not set, or must not set so; the last column is `auth`.
const BAD_HEADERS: &[(&str, &str, &str)] = &[
    ("Host", "evil.example", "bearer"),
    ("host", "evil.example", "bearer"),
    ("Content-Length", "0", "bearer"),
    ("Content-Type", "text/plain", "bearer"),
    ("Transfer-Encoding", "chunked", "bearer"),
    ("Connection", "close", "bearer"),
    ("Keep-Alive", "1", "bearer"),
    ("Proxy-Connection", "close", "bearer"),
    ("Proxy-Authorization", "Basic x", "bearer"),
    ("TE", "trailers", "bearer"),
    ("Trailer", "X", "bearer"),
    ("Upgrade", "h2c", "bearer"),
    ("HTTP2-Settings", "x", "bearer"),
    ("Expect", "100-continue", "bearer"),
    ("Accept-Encoding", "gzip", "bearer"),
    ("Authorization", "Bearer other", "bearer"),
    ("AUTHORIZATION", "Bearer other", "header:X-Key"),
    ("Cookie", "a=b", "bearer"),
    ("X-Key", "other", "header:x-key"),
    ("X-A", "b\r\nX-Evil: 1", "bearer"),
    ("X-A", "b\nX-Evil: 1", "bearer"),
    ("X-A", "b\u{0}", "bearer"),
    ("X-A\r\nX-Evil", "1", "bearer"),
    ("X A", "1", "bearer"),
    ("X-A:", "1", "bearer"),
    ("", "1", "bearer"),
    ("X-\u{e9}", "1", "bearer"),
];

#[tokio::test]
async fn no_header_frames_the_message_or_stands_in_for_the_credential() {
    let scene = Scene::public().await;
    for (name, value, auth) in BAD_HEADERS {
        let entry = json!({ "base_url": "http://api.example", "credential_key": "KEY", "auth": auth, "headers": { *name: value } });
        let fault = scene.open(&entry).err().unwrap_or_else(|| panic!("{name:?} {value:?} started"));
        assert!(fault.key.unwrap().starts_with("allowed_services.0.headers"), "{name:?}");
    }
    for auth in
        ["header:", "header:Host", "header:Content-Length", "header:Transfer-Encoding", "header:a b", "header:x\r\ny", "Bearer", "digest"]
    {
        let entry = json!({ "base_url": "http://api.example", "credential_key": "KEY", "auth": auth });
        assert_eq!(scene.open(&entry).err().unwrap().key.as_deref(), Some("allowed_services.0.auth"), "{auth:?}");
    }
    let config = |auth: &str| json!({ "allowed_services": [{ "name": "s", "base_url": "http://api.example", "credential_key": "KEY", "auth": auth }] });
    for (auth, credential) in [
        ("bearer", "a\r\nX-Evil: 1"),
        ("bearer", "a\n"),
        ("bearer", "a\u{0}"),
        ("header:X-Key", "a\nb"),
        ("basic", "no colon"),
        ("bearer", ""),
    ] {
        let opened = try_open_on(&host(scene.network.clone()), "http_proxy", "a", None, &config(auth), &[("KEY", credential)]);
        let fault = opened.err().unwrap_or_else(|| panic!("{credential:?} was taken"));
        assert_eq!(fault.key.as_deref(), Some("KEY"), "{credential:?}");
        assert!(credential.is_empty() || !fault.to_string().contains(credential), "{fault}");
    }
    assert!(scene.dialled().is_empty());
    let good = json!({ "base_url": "http://api.example", "credential_key": "BASIC", "auth": "basic", "headers":
        { "X-Team": "blue", "Accept": "application/json", "User-Agent": "probe/1", "X-Number": 3, "X-Flag": true } });
    get(&scene.open(&good).unwrap(), "/x").await.unwrap();
    let received = scene.service.only();
    let headers = ["x-team", "accept", "user-agent", "x-number", "x-flag", "authorization"].map(|name| received.header(name).unwrap());
    assert_eq!(headers, ["blue", "application/json", "probe/1", "3", "true", "Basic dXNlcjpjLXItZS1k"]);
}

/// `Location` of an answer to `/v1/start` that is not followed, and what the agent is told of it.
const UNFOLLOWED: &[(&str, Option<&str>)] = &[
    ("/v1/next", Some("/next")),
    ("next", Some("/next")),
    ("http://api.example/v1/next", Some("/next")),
    ("http://api.example:80/v1/next?token=t#f", Some("/next")),
    ("./a/../next", Some("/next")),
    ("/admin", None),
    ("/v10/next", None),
    ("../admin", None),
    ("//evil.example/v1/next", None),
    ("http://evil.example/v1/next", None),
    ("https://api.example/v1/next", None),
    ("http://api.example:81/v1/next", None),
    ("http://user@api.example/v1/next", None),
    ("http://169.254.169.254/latest/meta-data", None),
    ("file:///etc/passwd", None),
    ("javascript:alert(1)", None),
    ("/v1/a%2f..%2fb", None),
    ("/v1\\next", None),
    ("", None),
    ("http://", None),
];

#[tokio::test]
async fn a_redirect_is_not_followed_unless_that_is_wanted() {
    for (location, told) in UNFOLLOWED {
        let scene = Scene::new(&[&[PUBLIC]], move |_| Reply::new(302, "<a href=x>").with("location", *location)).await;
        let agent = scene.open(&json!({ "base_url": "http://api.example/v1", "credential_key": "KEY" })).unwrap();
        let fault = agent.call("get", &json!({ "service": "s", "path": "/start" })).await.unwrap_err();
        let mut details = json!({ "status": 302 });
        told.iter().for_each(|told| details["location"] = (*told).into());
        assert_eq!((fault.code, fault.details.unwrap()), (Code::UpstreamRedirect, details), "{location}");
        assert_eq!((scene.targets().len(), scene.dialled().len()), (1, 1), "{location}");
    }
    for status in [300, 301, 303, 304, 305, 307, 308, 399] {
        let scene = Scene::new(&[&[PUBLIC]], move |_| Reply::new(status, "").with("location", "http://evil.example/")).await;
        let agent = scene.open(&json!({ "base_url": "http://api.example" })).unwrap();
        for tool in ["get", "post", "put", "delete"] {
            scene.network.next_answers.lock().unwrap().push_back(vec![PUBLIC.parse().unwrap()]);
            let code = agent.code(tool, &json!({ "service": "s", "path": "/" })).await;
            assert_eq!(code, Err(Code::UpstreamRedirect), "{tool} {status}");
        }
        assert_eq!(scene.targets().len(), 4, "{status}");
    }
}

/// One hop: `Location`, then the address and target dialled after the first, and whether credential and headers are sent there.
/// Nothing dialled: the way ends with the code.
type Hop = (&'static str, Result<(&'static str, &'static str, bool), Code>);
const FOLLOWED: &[Hop] = &[
    ("/v1/next", Ok(("93.184.216.34:80", "/v1/next", true))),
    ("next?q=1#f", Ok(("93.184.216.34:80", "/v1/next?q=1", true))),
    ("http://api.example/v1/next", Ok(("93.184.216.34:80", "/v1/next", true))),
    ("http://API.example.:80/v1/next", Ok(("93.184.216.34:80", "/v1/next", true))),
    ("http://other.example/v1/next", Ok(("1.1.1.1:80", "/v1/next", false))),
    ("//other.example/any", Ok(("1.1.1.1:80", "/any", false))),
    ("http://api.example:81/v1/next", Ok(("1.1.1.1:81", "/v1/next", false))),
    ("http://8.8.8.8/x", Ok(("8.8.8.8:80", "/x", false))),
    ("http://10.0.0.9/x", Ok(("10.0.0.9:80", "/x", false))),
    // The own origin: only where the agent may go itself.
    ("/admin", Err(Code::UpstreamRedirect)),
    ("/v1/closed", Err(Code::UpstreamRedirect)),
    ("/v1/next/../../admin", Err(Code::UpstreamRedirect)),
    ("/v1/%2e%2e/admin", Err(Code::UpstreamRedirect)),
    ("/v1/next%2f..%2f..%2fadmin", Err(Code::UpstreamRedirect)),
    ("/v1/next%00", Err(Code::UpstreamRedirect)),
    // Elsewhere: under the same guard.
    ("http://127.0.0.1/x", Err(Code::EgressDenied)),
    ("http://2130706433/x", Err(Code::EgressDenied)),
    ("http://[::1]/x", Err(Code::EgressDenied)),
    ("http://192.168.0.1/x", Err(Code::EgressDenied)),
    ("http://169.254.169.254/latest/meta-data", Err(Code::EgressDenied)),
    ("http://[::ffff:169.254.169.254]/", Err(Code::EgressDenied)),
    ("http://metadata.google.internal/", Err(Code::EgressDenied)),
    ("http://inside.example/x", Err(Code::EgressDenied)),
    ("http://mixed.example/x", Err(Code::EgressDenied)),
    // No address to follow.
    ("http://user:pass@other.example/x", Err(Code::UpstreamRedirect)),
    ("ftp://other.example/x", Err(Code::UpstreamRedirect)),
    ("file:///etc/passwd", Err(Code::UpstreamRedirect)),
    ("data:text/plain,x", Err(Code::UpstreamRedirect)),
    ("http://other.example\\@api.example/", Err(Code::UpstreamRedirect)),
    ("http://other.example:0/x", Err(Code::UpstreamRedirect)),
    ("http://other..example/x", Err(Code::UpstreamRedirect)),
    ("", Err(Code::UpstreamRedirect)),
];

fn answering(names: &[(&str, &[&str])]) -> std::collections::BTreeMap<String, Vec<IpAddr>> {
    names.iter().map(|(name, found)| ((*name).to_owned(), found.iter().map(|a| a.parse().unwrap()).collect())).collect()
}

/// A scene whose names have fixed addresses.
async fn named_scene(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Scene {
    let mut scene = Scene::new(&[], reply).await;
    let names = answering(&[
        ("api.example", &[PUBLIC]),
        ("other.example", &["1.1.1.1"]),
        ("inside.example", &["172.16.0.1"]),
        ("mixed.example", &["1.1.1.1", "127.0.0.1"]),
    ]);
    scene.network = Arc::new(RecordingNetwork { names, leads_to: Some(scene.service.address), ..Default::default() });
    scene
}

#[tokio::test]
async fn a_followed_redirect_is_checked_like_a_first_request() {
    for (location, wanted) in FOLLOWED {
        let scene = named_scene(move |target| {
            if target == "/v1/start" {
                Reply::new(302, "").with("location", *location)
            } else {
                Reply::new(200, "{}").with("set-cookie", "a=b")
            }
        })
        .await;
        // Another port of the same name has an address of its own here.
        if location.contains(":81") {
            scene.network.next_answers.lock().unwrap().extend([vec![PUBLIC.parse().unwrap()], vec!["1.1.1.1".parse().unwrap()]]);
        }
        let entry = json!({ "base_url": "http://api.example/v1", "credential_key": "KEY", "headers": { "X-Team": "blue" }, "follow_redirects": true,
            "allowed_paths": ["/start", "/next"], "allow_private": ["10.0.0.0/8"] });
        let verdict = get(&scene.open(&entry).unwrap(), "/start").await.map(drop);
        let first = SocketAddr::new(PUBLIC.parse().unwrap(), 80);
        let received = scene.service.received();
        match wanted {
            Ok((address, target, own)) => {
                assert_eq!(verdict, Ok(()), "{location}");
                assert_eq!(scene.dialled(), [first, address.parse().unwrap()], "{location}");
                assert_eq!((received.len(), received[1].target.as_str()), (2, *target), "{location}");
                let sent = (received[1].header("authorization"), received[1].header("x-team"));
                assert_eq!(sent, if *own { (Some("Bearer c-r-e-d"), Some("blue")) } else { (None, None) }, "{location}");
                assert_eq!((received[1].header("cookie"), received[1].body.len()), (None, 0), "{location}");
            }
            Err(code) => {
                assert_eq!(verdict, Err(*code), "{location}");
                assert_eq!((scene.dialled(), received.len()), (vec![first], 1), "{location}");
            }
        }
    }
}

#[tokio::test]
async fn a_way_of_redirects_is_short_and_drops_what_is_secret_for_good() {
    let endless = named_scene(|target| {
        let count: usize = target.trim_start_matches("/v1/").parse().unwrap();
        if count == 9 { Reply::new(200, "{}") } else { Reply::new(307, "").with("location", format!("/v1/{}", count + 1)) }
    })
    .await;
    let entry = json!({ "base_url": "http://api.example/v1", "credential_key": "KEY", "follow_redirects": true });
    let agent = endless.open(&entry).unwrap();
    assert_eq!(get(&agent, "/4").await, Ok(json!({})), "five hops");
    assert_eq!(get(&agent, "/3").await, Err(Code::UpstreamRedirect), "six");
    assert_eq!(
        endless.targets(),
        ["/v1/4", "/v1/5", "/v1/6", "/v1/7", "/v1/8", "/v1/9", "/v1/3", "/v1/4", "/v1/5", "/v1/6", "/v1/7", "/v1/8"]
    );
    for tool in ["post", "put", "delete"] {
        let before = endless.targets().len();
        assert_eq!(agent.code(tool, &json!({ "service": "s", "path": "/8" })).await, Err(Code::UpstreamRedirect), "{tool}");
        assert_eq!(endless.targets().len(), before + 1, "only GET is followed");
    }

    let there_and_back = named_scene(|target| match target {
        "/v1/start" => Reply::new(302, "").with("location", "http://other.example/back"),
        "/back" => Reply::new(302, "").with("location", "http://api.example/v1/end"),
        _ => Reply::new(200, "{}"),
    })
    .await;
    assert_eq!(get(&there_and_back.open(&entry).unwrap(), "/start").await, Ok(json!({})));
    let sent: Vec<_> =
        there_and_back.service.received().into_iter().map(|r| (r.target.clone(), r.header("authorization").is_some())).collect();
    assert_eq!(sent, [("/v1/start".to_owned(), true), ("/back".to_owned(), false), ("/v1/end".to_owned(), false)]);
}

#[tokio::test]
async fn a_way_that_began_in_secret_stays_secret() {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, crate::tls::pem()).unwrap();
    for (location, wanted, dialled) in [
        ("http://mcp.example.com/end", Err(Code::UpstreamRedirect), 1),
        ("http://other.example/end", Err(Code::UpstreamRedirect), 1),
        ("https://mcp.example.com/end", Ok(json!({})), 1),
        // What is trusted for the service is not trusted elsewhere.
        ("https://127.0.0.1/end", Err(Code::UpstreamAuth), 2),
    ] {
        let service = crate::tls::answering(move |head| match head.starts_with("GET /start ") {
            true => format!("HTTP/1.1 302 x\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"),
            false => "HTTP/1.1 200 x\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        })
        .await;
        let mut scene = Scene::public().await;
        let names = answering(&[("mcp.example.com", &[PUBLIC]), ("other.example", &["1.1.1.1"])]);
        scene.network = Arc::new(RecordingNetwork { names, leads_to: Some(service), ..Default::default() });
        let entry =
            json!({ "base_url": "https://mcp.example.com", "follow_redirects": true, "allow_private": ["127.0.0.1"], "ca_file": ca_file });
        assert_eq!(get(&scene.open(&entry).unwrap(), "/start").await, wanted, "{location}");
        assert_eq!(scene.dialled().len(), dialled, "{location}");
    }
}

#[test]
fn the_tables_are_as_long_as_promised() {
    let refused = BAD_BASES.len() + BAD_PATHS.len() + BAD_HEADERS.len() + UNFOLLOWED.len();
    let refused = refused + ANSWERS.iter().filter(|row| row.2.contains(&"")).count() + FOLLOWED.iter().filter(|row| row.1.is_err()).count();
    let allowed = GOOD_BASES.len() + GOOD_PATHS.len() + OPENED_PATHS.iter().filter(|row| row.2).count();
    assert!(refused >= 150 && allowed >= 50, "{refused} {allowed}");
}
