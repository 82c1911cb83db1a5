//! Two hundred random codes, tokens and client secrets through every way that there is, from providers that say back whatever they are sent.
//! Afterwards none of them may stand in a byte that left or was kept, in any usual spelling.

mod tap;
mod walk;

use bailiwick_testkit::client::{Client, Era, Fault};
use bailiwick_testkit::postgres::{Postgres, TestDatabase};
use bailiwick_testkit::provider::{Habits, KnownClient, Provider, Revocation, words};
use serde_json::{Value, json};

pub(crate) use self::walk::Walk;
use self::walk::{local, param};
use crate::api::Town;
use crate::base::Base;
use crate::leaks::{files, spellings};
use crate::scene::port;

/// So many have to be handed out.
const MINTED_MIN: usize = 200;
const MASKED: &str = "<redacted-value>";
/// Of a client that a person registered.
const BY_HAND: &str = "by.hand~secret+of/a=person_4f1c9a-x";
const PEOPLE: [&str; 5] = ["org_admin", "himself", "member", "group_admin", "group"];
const NAMES: [&str; 3] = ["basic", "post", "hand"];

const READER: &str = "\
agent_type: reader
servers: {basic: {}, post: {}, hand: {}}
";

/// The program, set up for registered servers on this machine.
pub(crate) fn town(base: &Base<'_>) -> Town {
    let setup = base.setup("connections: {allow_loopback_http: true, allow_hosts: ['127.0.0.1']}\n");
    Town::of(setup.file("manifests/reader.yml", READER).env("RUST_LOG", "debug"))
}

/// A provider of each kind: with secrets in a header, with secrets in the form and words of its own, with a client that was made by hand.
fn providers(callback: String) -> [Provider; 3] {
    let repeating =
        |seed| Habits { random_values: Some(seed), repeats_credentials: true, challenge_scope: Some("read".into()), ..Habits::default() };
    let basic = Habits { auth_methods: Some(words("client_secret_basic")), tells_iss: false, ..repeating(1) };
    let post = Habits {
        auth_methods: Some(words("client_secret_post")),
        revocation: Revocation::AtToken,
        commas: true,
        refuses_with_ok: true,
        challenge_scope: None,
        ..repeating(2)
    };
    let known = KnownClient { id: "by-hand".into(), secret: Some(BY_HAND.into()), redirect_uris: vec![callback] };
    let hand = Habits { registers: false, takes_documents: false, known_clients: vec![known], reuse_grace: 1, ..repeating(3) };
    [basic, post, hand].map(Provider::start)
}

/// One server, and who is behind it.
struct Place<'p> {
    name: &'static str,
    id: String,
    provider: &'p Provider,
}

impl Place<'_> {
    fn tool(&self, name: &str) -> String {
        format!("{}__{name}", self.name)
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/mcp/servers/{}{rest}", self.id)
    }
}

fn register<'p>(walk: &Walk, name: &'static str, provider: &'p Provider) -> Place<'p> {
    let mut body = json!({"server_url": provider.url(), "display_name": name, "new_tools_policy": "allow"});
    if name == "hand" {
        let at = |path: &str| json!(format!("{}{path}", provider.origin()));
        body["registration_mode"] = "manual".into();
        body["oauth_issuer_url"] = provider.issuer().into();
        (body["authorization_endpoint"], body["token_endpoint"]) = (at("/authorize"), at("/token"));
        (body["client_id"], body["client_secret"]) = ("by-hand".into(), BY_HAND.into());
        body["revocation_endpoint"] = at("/revoke");
    }
    let server = walk.done("org_admin", "POST", "/v1/mcp/servers", Some(&body));
    assert_eq!(server["status"], "active", "{server}");
    Place { name, id: server["server_id"].as_str().unwrap().to_owned(), provider }
}

fn is_good(said: &Value) -> bool {
    said["isError"] != true && said["resultType"] != "input_required"
}

/// The link that a call without enough consent brings.
fn link_of(called: Result<Value, Fault>) -> String {
    let link = match &called {
        Ok(said) if said["resultType"] == "input_required" => &said["inputRequests"]["sign_in"]["params"]["url"],
        Ok(said) => &said["structuredContent"]["details"]["url"],
        Err(Fault::Rpc { data, .. }) => &data["elicitations"][0]["url"],
        Err(fault) => panic!("{fault}"),
    };
    link.as_str().unwrap_or_else(|| panic!("no link: {called:?}")).to_owned()
}

/// Everything that a server can say, asked for.
fn use_all(walk: &Walk, client: &Client, place: &Place<'_>) {
    let said = walk.call(client, &place.tool("echo")).unwrap();
    assert!(is_good(&said), "{said}");
    let said = walk.call(client, &place.tool("repeat_result")).unwrap();
    assert!(is_good(&said) && said.to_string().contains(MASKED), "{said}");
    let failed = walk.call(client, &place.tool("repeat_failure")).unwrap();
    assert!(failed["isError"] == true && failed.to_string().contains(MASKED), "{failed}");
    for tool in ["repeat_error", "repeat_log"] {
        let _ = walk.call(client, &place.tool(tool));
    }
    if client.era() == Era::Modern {
        // Elsewhere the call would wait for an answer.
        let asked = walk.call(client, &place.tool("repeat_question")).unwrap();
        assert!(asked["resultType"] == "input_required" && asked.to_string().contains(MASKED), "{asked}");
    }
    for (method, params) in [
        ("tools/list", json!({})),
        ("prompts/list", json!({})),
        ("prompts/get", json!({"name": place.tool("repeat")})),
        ("resources/list", json!({})),
        ("resources/read", json!({"uri": "note://repeat"})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": place.tool("repeat")}, "argument": {"name": "name", "value": ""}}),
        ),
    ] {
        let _ = walk.request(client, method, params);
    }
}

/// One person at one server: connected, called, refreshed, asked for more, revoked, connected again.
fn live(walk: &Walk, who: &str, place: &Place<'_>, on_page: bool, era: Era) {
    let provider = place.provider;
    if on_page {
        walk.connect_on_page(who, provider, &place.id)
    } else {
        walk.connect(who, provider, &place.id)
    }
    let client = walk.client(who, era, &place.tool("repeat_result"));
    if era != Era::Modern {
        walk.request(&client, "logging/setLevel", json!({"level": "debug"})).unwrap();
    }
    use_all(walk, &client, place);
    for _ in 0..2 {
        provider.expire_access_tokens();
        use_all(walk, &client, place);
    }
    // More is wanted than was granted.
    let link = link_of(walk.call(&client, &place.tool("write_note")));
    walk.follow(provider, &link);
    assert!(is_good(&walk.call(&client, &place.tool("write_note")).unwrap()));
    // The person took everything back over there.
    provider.revoke_everything();
    let link = link_of(walk.call(&client, &place.tool("echo")));
    walk.done(who, "GET", "/v1/mcp/tokens", None);
    walk.follow(provider, &link);
    use_all(walk, &client, place);
}

/// Callbacks that come to nothing.
fn mistakes(walk: &Walk, place: &Place<'_>) {
    let provider = place.provider;
    let refused = |answer: crate::api::Answer| assert!(answer.status >= 400, "{answer:?}");
    let location = provider.approve(&walk.start("member", &place.id));
    refused(walk.come_back("group", &location, None));
    refused(walk.come_back("member", &location, None));
    // A code that was used before; the provider calls its error by it.
    for used in used_codes(provider) {
        let location = provider.approve(&walk.start("member", &place.id));
        refused(walk.come_back("member", &location, Some(&used)));
    }
    refused(walk.come_back("member", &provider.deny(&walk.start("member", &place.id)), None));
    let link = walk.done("member", "POST", &place.path("/oauth/link"), None);
    let (_, cookie, url) = walk.agree(link["url"].as_str().unwrap());
    let location = provider.approve(&url);
    refused(walk.browse("GET", &local(&location), None));
    refused(walk.browse("GET", &local(&location).replace("/callback", "/callback/elsewhere"), Some(&cookie)));
    refused(walk.browse("GET", &local(&location), Some(&cookie)));
    let (_, cookie, url) = walk.agree(link["url"].as_str().unwrap());
    refused(walk.browse("GET", &local(&provider.deny(&url)), Some(&cookie)));
    provider.set(|habits| habits.refuses_with_ok = !habits.refuses_with_ok);
    let used = used_codes(provider).pop().unwrap();
    let (_, cookie, url) = walk.agree(link["url"].as_str().unwrap());
    let location = provider.approve(&url);
    let code: String = url::form_urlencoded::byte_serialize(param(&location, "code").unwrap().as_bytes()).collect();
    let other: String = url::form_urlencoded::byte_serialize(used.as_bytes()).collect();
    refused(walk.browse("GET", &local(&location).replace(&code, &other), Some(&cookie)));
    provider.set(|habits| habits.refuses_with_ok = !habits.refuses_with_ok);
}

/// Some codes that were used, one at least that could be the word of an error.
fn used_codes(provider: &Provider) -> Vec<String> {
    let codes: Vec<String> =
        provider.grants("authorization_code").iter().filter_map(|sent| sent.field("code").map(str::to_owned)).collect();
    let is_word = |code: &&String| code.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    codes.iter().take(1).chain(codes.iter().find(is_word)).cloned().collect()
}

/// A secret of the organisation stands in for somebody without a connection.
fn lend(walk: &Walk, place: &Place<'_>) {
    let bearer = |sent: &bailiwick_testkit::provider::Sent| {
        sent.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned)
    };
    let token = place.provider.sent().iter().rev().filter_map(bearer).find(|token| place.provider.accepts(token)).expect("a live token");
    walk.ask("org_admin", "PUT", "/v1/orgs/acme/secrets/TOKEN", Some(&json!({"value": token})));
    walk.done("org_admin", "PUT", &place.path("/org-credential"), Some(&json!({"secret_name": "TOKEN"})));
    walk.done("org_admin", "PUT", &place.path("/org-context"), Some(&json!({"context": "ours"})));
    walk.done("org_admin", "GET", &place.path("/org-credential"), None);
    walk.done("org_admin", "DELETE", &place.path("/connections/bob"), None);
    let client = walk.client("himself", Era::Modern, &place.tool("repeat_result"));
    use_all(walk, &client, place);
    place.provider.expire_access_tokens();
    let _ = walk.call(&client, &place.tool("repeat_result"));
    walk.done("org_admin", "DELETE", &place.path("/org-credential"), None);
}

/// Whatever can be read about servers, connections and calls.
fn look_around(walk: &Walk, place: &Place<'_>) {
    for who in ["org_admin", "member"] {
        for target in [
            "/v1/mcp/servers",
            "/v1/mcp/tokens",
            "/v1/mcp/settings",
            "/v1/me",
            "/v1/orgs/acme/calls",
            "/v1/orgs/acme/events?limit=500",
            "/v1/orgs/acme/secrets",
        ] {
            walk.ask(who, "GET", target, None);
        }
        for rest in ["", "/tools", "/connections", "/org-context", "/org-credential"] {
            walk.ask(who, "GET", &place.path(rest), None);
        }
    }
    for rest in ["/discover", "/doctor", "/retry-setup"] {
        walk.ask("org_admin", "POST", &place.path(rest), None);
    }
    walk.ask("platform_admin", "GET", "/v1/admin/mcp/servers", None);
    for args in [
        vec!["server", "list", "--all"],
        vec!["server", "show", place.name, "--org", "acme"],
        vec!["server", "connections", place.name, "--org", "acme"],
        vec!["server", "doctor", place.name, "--org", "acme"],
        vec!["server", "tools", place.name, "--org", "acme"],
    ] {
        for form in ["text", "json"] {
            let args: Vec<&str> = args.iter().copied().chain(["-o", form]).collect();
            assert_eq!(walk.command(&args), Some(0), "{args:?}: {:?}", walk.heard().last());
        }
    }
}

/// Exports, and everything else that a machine's operator can read.
fn export(walk: &Walk) {
    for args in [
        &["audit", "list", "-o", "json"][..],
        &["audit", "tail", "-n", "10000"],
        &["audit", "export"],
        &["audit", "verify"],
        &["secret", "list", "--org", "acme"],
    ] {
        assert_eq!(walk.command(args), Some(0), "{args:?}: {:?}", walk.heard().last());
    }
    for path in ["/health", "/readyz?verbose", "/metrics", "/.well-known/oauth-protected-resource", "/oauth/client-metadata.json"] {
        let mut raw = crate::support::RawClient::connect(([127, 0, 0, 1], port(&walk.town.app)).into());
        raw.send(&format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"));
        walk.hear(path, raw.read_to_end());
    }
}

/// Everybody leaves; the providers hear of it. One of them does not know us any more.
fn leave(walk: &Walk, places: &[Place<'_>]) {
    places[0].provider.forget_clients();
    for place in places {
        let revocations = |place: &Place<'_>| place.provider.sent().iter().filter(|sent| sent.field("token").is_some()).count();
        let before = revocations(place);
        walk.done("member", "DELETE", &place.path("/token"), None);
        walk.done("org_admin", "DELETE", &place.path("/connections/gil"), None);
        walk.command(&["server", "disconnect", place.name, "--org", "acme", "--user", "lee"]);
        Walk::wait("revocation", || revocations(place) >= before + 6);
    }
    walk.done("org_admin", "DELETE", &places[1].path(""), None);
}

/// Every row of a database at PostgreSQL.
fn rows(server: &Postgres, database: &TestDatabase) -> String {
    let tables = server.sql(
        database,
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    );
    tables.lines().map(|table| server.sql(database, &format!("SELECT row_to_json(t) FROM {table} t"))).collect()
}

fn no_token_is_ever_seen_again(base: &Base<'_>) {
    let mut walk = Walk::new(town(base));
    let providers = providers(format!("{}/v1/mcp/oauth/callback", walk.town.app.base_url()));
    let places: Vec<Place<'_>> = NAMES.iter().zip(&providers).map(|(name, provider)| register(&walk, name, provider)).collect();
    for (number, place) in places.iter().enumerate() {
        for (turn, who) in PEOPLE.iter().enumerate() {
            let era = if (number + turn) % 2 == 0 { Era::Modern } else { Era::Legacy(["2025-11-25", "2025-06-18"][turn % 2]) };
            live(&walk, who, place, turn % 2 == 1, era);
        }
        mistakes(&walk, place);
        look_around(&walk, place);
        lend(&walk, place);
        look_around(&walk, place);
    }
    leave(&walk, &places);
    export(&walk);
    let mut kept = walk.heard();
    let stderr = walk.town.app.stderr();
    assert!(stderr.len() < 8 << 20, "not all of it was kept");
    assert!(stderr.contains("DEBUG") || stderr.contains("debug"), "no log at debug level");
    kept.push(("while it ran, stderr".into(), stderr.into_bytes()));
    // What is kept while the program runs, and what is left of it.
    files(walk.town.app.place().path(), &mut kept);
    assert!(walk.town.app.terminate().success());
    kept.push(("stderr".into(), walk.town.app.stderr().into_bytes()));
    files(walk.town.app.place().path(), &mut kept);
    match base {
        Base::Sqlite => assert!(kept.iter().any(|(name, _)| name.ends_with(".db")) && kept.iter().any(|(name, _)| name.ends_with("-wal"))),
        Base::Postgres(server, database) => kept.push(("rows".into(), rows(server, database).into_bytes())),
    }
    search(&walk, &providers, &kept);
}

/// Looks for every secret in everything.
fn search(walk: &Walk, providers: &[Provider], kept: &[(String, Vec<u8>)]) {
    let minted: Vec<String> = providers.iter().flat_map(Provider::minted).collect();
    assert!(minted.len() >= MINTED_MIN, "only {} values were handed out", minted.len());
    let sent: Vec<_> = providers.iter().flat_map(Provider::sent).collect();
    let verifiers: Vec<String> = sent.iter().filter_map(|sent| sent.field("code_verifier").map(str::to_owned)).collect();
    let ours = walk.ours();
    let all: Vec<&String> = minted.iter().chain(&verifiers).chain(&ours).collect();
    let patterns: Vec<(&str, String)> = all
        .iter()
        .flat_map(|value| spellings(value).into_iter().map(move |spelling| (value.as_str(), spelling)))
        .chain([("by hand", BY_HAND.to_owned())])
        .collect();
    let matcher = aho_corasick::AhoCorasick::new(patterns.iter().map(|(_, spelling)| spelling)).unwrap();
    let mut found: Vec<String> = Vec::new();
    for (name, bytes) in kept {
        for hit in matcher.find_iter(bytes).take(3) {
            let (from, to) = (hit.start().saturating_sub(300), (hit.end() + 100).min(bytes.len()));
            let (value, _) = patterns[hit.pattern().as_usize()];
            found.push(format!("{name} holds {value:?}: …{}…", String::from_utf8_lossy(&bytes[from..to])));
        }
    }
    let bytes: usize = kept.iter().map(|(_, bytes)| bytes.len()).sum();
    let masked: usize = kept.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).matches(MASKED).count()).sum();
    println!(
        "{} handed out, {} verifiers, {} states and cookies, {} texts of {bytes} bytes, {masked} times masked",
        minted.len(),
        verifiers.len(),
        ours.len(),
        kept.len()
    );
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found[..found.len().min(12)].join("\n"));
    // The search can find, and the servers did say it all: each was sent what is nowhere else.
    let came: String = sent.iter().map(|sent| format!("{:?} {:?}", sent.headers, sent.form)).collect();
    assert!(minted.iter().filter(|value| came.contains(value.as_str())).count() > MINTED_MIN / 2);
    assert!(masked > MINTED_MIN, "masked only {masked} times");
}

#[test]
fn no_token_is_ever_seen_again_on_sqlite() {
    no_token_is_ever_seen_again(&Base::sqlite("tokens"));
}

#[test]
fn no_token_is_ever_seen_again_on_postgres() {
    let Some(base) = Base::postgres("tokens") else { return };
    no_token_is_ever_seen_again(&base);
}
