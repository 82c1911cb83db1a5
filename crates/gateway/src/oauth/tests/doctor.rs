//! Reports: each provider's quirks by name, and nothing left behind in silence.

use bailiwick_testkit::provider::{Habits, IssuerPlace, Provider, ResourcePlaces};
use bailiwick_testkit::time::SeededRandom;
use bailiwick_testkit::upstream::{Behaviour, Eras, FakeUpstream};
use serde_json::{Value, json};

use super::kit::{CALLBACK, by_hand, settings};
use crate::oauth::Step;
use crate::oauth::doctor::{Examination, Report, Verdict, examine, probe};
use crate::oauth::identity::{Registered, Wanted};
use crate::oauth::profiles::Profiles;

/// Profile, habits, whether a person registered, what is seen, what is known besides.
type Provided<'p> = (&'p str, Habits, bool, &'p [&'p str], &'p [&'p str]);

#[derive(Default)]
struct Case<'c> {
    habits: Habits,
    profile: Option<&'c str>,
    registered: Option<Registered>,
    may_register: bool,
    configured: Vec<String>,
}

async fn report(case: Case<'_>) -> (Report, Provider) {
    let profiles = Profiles::own().unwrap();
    let provider = Provider::start(case.habits);
    let settings = settings();
    provider.publish(super::kit::DOCUMENT, crate::oauth::identity::client_metadata(&settings).unwrap());
    let url = provider.url();
    let examination = Examination {
        server_url: &url,
        profiles: &profiles,
        profile: case.profile.and_then(|id| profiles.named(id)),
        wanted: Wanted::Auto,
        registered: case.registered.as_ref(),
        server_id: "srv_1",
        configured: &case.configured,
        extra: &[],
        may_register: case.may_register,
        open_page: true,
    };
    let report = examine(&settings, examination, &SeededRandom::new(2)).await;
    (report, provider)
}

fn named(report: &Report, seen: bool) -> Vec<&str> {
    let mut ids: Vec<&str> = report.quirks.iter().filter(|quirk| quirk.seen == seen).map(|quirk| quirk.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_server_in_order() {
    let (report, provider) = report(Case::default()).await;
    assert_eq!(report.verdict(), Verdict::Ok, "{report:#?}");
    let steps: Vec<Step> = report.lines.iter().map(|line| line.step).collect();
    let expected =
        [Step::Challenge, Step::ResourceMetadata, Step::IssuerMetadata, Step::Registration, Step::Authorization, Step::Authorization];
    assert_eq!(steps, expected);
    assert_eq!(report.quirks, []);
    assert_eq!((report.left_behind, provider.sent_to("/register").len()), (None, 0));
}

#[tokio::test]
async fn each_provider_by_what_is_seen_and_what_is_known() {
    let rows: [Provided<'_>; 7] = [
        ("github", Habits::github(CALLBACK), true, &["issuer_with_path", "no_iss", "no_registration"], &["refuses_with_status_200"]),
        (
            "atlassian",
            Habits::atlassian(),
            false,
            &["issuer_with_path", "no_iss", "no_scopes_listed"],
            &["admin_allow_list", "audience_parameter", "dcr_only", "exact_redirect", "scope_rejected"],
        ),
        ("linear", Habits::linear(), false, &[], &["bearer_spelling", "secrets_expire"]),
        ("notion", Habits::notion(), false, &["no_iss", "no_scopes_listed", "revocation_at_token_endpoint"], &["one_auth_method"]),
        ("sentry", Habits::sentry(), false, &["metadata_at_path_only", "no_document_clients", "no_iss"], &[]),
        (
            "slack",
            Habits::slack(CALLBACK),
            true,
            &["no_iss", "no_registration"],
            &["app_approval", "refuses_with_status_200", "team_parameter", "user_token_scopes"],
        ),
        ("google", Habits::google(CALLBACK), true, &["address_scopes", "no_iss", "no_registration"], &["offline_parameters"]),
    ];
    for (id, habits, hand, seen, known) in rows {
        let (report, provider) = report(Case { habits, profile: Some(id), registered: hand.then(by_hand), ..Case::default() }).await;
        assert_eq!(report.profile.as_deref(), Some(id));
        assert_ne!(report.verdict(), Verdict::Fail, "{id}: {:#?}", report.lines);
        assert_eq!(named(&report, true), seen, "{id}");
        assert_eq!(named(&report, false), known, "{id}");
        let profiles = Profiles::own().unwrap();
        let sourced = |id: &str| report.quirks.iter().any(|quirk| quirk.id == id && quirk.source != "seen");
        assert!(profiles.named(id).unwrap().quirks.iter().all(|quirk| sourced(&quirk.id)), "{id}: a source is missing");
        assert!(report.quirks.iter().all(|quirk| !quirk.remedy.is_empty()));
        assert_eq!(provider.sent().iter().filter(|sent| sent.path.ends_with("/register")).count(), 0, "{id}: nothing is left behind");
    }
}

/// The same without the profiles: what the fakes do shows where it can.
#[tokio::test]
async fn a_rejected_scope_is_seen_on_the_page() {
    let habits = Habits { scopes: Some(vec!["read:jira-work".into()]), takes_documents: false, ..Habits::atlassian() };
    let (report, provider) = report(Case { habits, may_register: true, ..Case::default() }).await;
    assert!(named(&report, true).contains(&"scope_rejected"), "{report:#?}");
    assert_eq!(report.verdict(), Verdict::Fail);
    let left = report.left_behind.unwrap();
    let line = report.lines.iter().find(|line| line.step == Step::Registration).unwrap();
    assert!(line.verdict == Verdict::Warn && line.text.contains(&left) && !line.remedy.is_empty(), "{line:?}");
    assert_eq!(provider.sent_to("/authv2/register").len(), 1);
}

#[tokio::test]
async fn secrets_that_end_are_seen_after_registration() {
    let habits = Habits { takes_documents: false, registers_with_secret_until: Some(1_767_312_000), ..Habits::linear() };
    let (report, _provider) = report(Case { habits, may_register: true, ..Case::default() }).await;
    assert!(named(&report, true).contains(&"secrets_expire"), "{report:#?}");
    assert!(!format!("{report:?}").contains("fake-secret"), "no secret in a report");
}

#[tokio::test]
async fn what_is_wrong_is_named_with_a_remedy() {
    let with = |member: &str, value: Value| Habits { issuer_members: [(member.to_owned(), value)].into(), ..Habits::default() };
    let closed = Habits { registers: false, takes_documents: false, ..Habits::default() };
    let elsewhere = Habits { resource_says: Some("https://other.example.com".into()), ..Habits::default() };
    let other_issuer = Habits { issuer_says: Some("https://other.example.com".into()), ..Habits::default() };
    let rows = [
        (with("code_challenge_methods_supported", Value::Null), Step::Authorization),
        (with("token_endpoint", json!("file:///etc/passwd")), Step::IssuerMetadata),
        (closed, Step::Registration),
        (elsewhere, Step::ResourceMetadata),
        (other_issuer, Step::IssuerMetadata),
    ];
    for (habits, step) in rows {
        let (report, _provider) = report(Case { habits, ..Case::default() }).await;
        assert_eq!(report.verdict(), Verdict::Fail, "{step:?}: {report:#?}");
        let failed: Vec<_> = report.lines.iter().filter(|line| line.verdict == Verdict::Fail).collect();
        assert!(failed.len() == 1 && failed[0].step == step && !failed[0].remedy.is_empty(), "{failed:?}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_of_itself() {
    let habits = Habits {
        resource_places: ResourcePlaces::Nowhere,
        issuer_place: IssuerPlace::Nowhere,
        challenge_names_document: false,
        ..Habits::default()
    };
    let (report, _provider) = report(Case { habits, ..Case::default() }).await;
    assert_eq!(report.verdict(), Verdict::Warn, "{report:#?}");
    assert_eq!(named(&report, true), ["no_issuer_metadata", "no_resource_metadata", "no_scopes_listed"]);
}

#[tokio::test]
async fn nobody_there() {
    let profiles = Profiles::own().unwrap();
    let settings = settings();
    let examination = Examination {
        server_url: "https://10.0.0.5/mcp",
        profiles: &profiles,
        profile: None,
        wanted: Wanted::Auto,
        registered: None,
        server_id: "s",
        configured: &[],
        extra: &[],
        may_register: true,
        open_page: true,
    };
    let report = examine(&settings, examination, &SeededRandom::new(2)).await;
    assert_eq!(report.verdict(), Verdict::Fail);
    assert!(report.lines[0].text.contains("may not be dialled"), "{report:?}");
}

#[tokio::test]
async fn an_open_server_is_left_as_it_was() {
    let fake = FakeUpstream::start(Behaviour { sessions: true, eras: Eras::Legacy, ..Behaviour::default() });
    let profiles = Profiles::own().unwrap();
    let url = fake.url();
    let examination = Examination {
        server_url: &url,
        profiles: &profiles,
        profile: None,
        wanted: Wanted::Auto,
        registered: None,
        server_id: "s",
        configured: &[],
        extra: &[],
        may_register: true,
        open_page: true,
    };
    let report = examine(&settings(), examination, &SeededRandom::new(2)).await;
    assert_eq!((report.verdict(), report.lines.len()), (Verdict::Ok, 1), "{report:?}");
    assert_eq!((fake.count("initialize"), fake.sessions()), (1, 0), "the session was ended");
}

/// What wants a token counts, and not what any client has to say first.
#[tokio::test]
async fn a_server_that_asks_for_a_token_only_later() {
    for eras in [Eras::Legacy, Eras::Modern] {
        let habits = Habits {
            open_methods: vec!["initialize".into(), "notifications/initialized".into()],
            challenge_scope: Some("basic".into()),
            behaviour: Behaviour { sessions: eras == Eras::Legacy, eras, ..Behaviour::default() },
            ..Habits::default()
        };
        let provider = Provider::start(habits);
        let found = probe(&settings(), &provider.url()).await.unwrap();
        assert!(!found.is_open(), "{eras:?}: {found:?}");
        assert_eq!(found.challenge.unwrap().scopes.unwrap(), ["basic"], "{eras:?}");
        let ended = provider.sent().iter().filter(|sent| sent.method == "DELETE").count();
        assert_eq!(ended, usize::from(eras == Eras::Legacy), "the session is left to nobody");
    }
}

#[tokio::test]
async fn an_open_server_that_knows_no_initialize() {
    let fake = FakeUpstream::start(Behaviour { eras: Eras::Modern, ..Behaviour::default() });
    let found = probe(&settings(), &fake.url()).await.unwrap();
    assert!(found.is_open(), "{found:?}");
}
