//! Instructions: versions, tombstones, layers of owners, two writers, and other organisations.

use std::time::Duration;

use bailiwick_model::instruction::{BODY_BYTES_MAX, Blocklist, Rule, Term, TermMode, skill_digest, skill_text};
use bailiwick_model::{DocKind, DocOwner, DocSlug, GroupId, HouseRules, NewInstruction, VettedInstruction};
use bailiwick_store::{
    INSTRUCTION_LAYERS_MAX, INSTRUCTION_PAGE_MAX, INSTRUCTIONS_PER_ORG_MAX, InstructionEntry, InstructionPut, InstructionRevert, Store,
    StoreErrorKind, Tenant,
};
use sqlx::Row;
use tokio::task::JoinSet;

use crate::support::{TestDb, assert_kind, make_org, operator, org_id};

pub(crate) fn kind(text: &str) -> DocKind {
    DocKind::parse(text).unwrap()
}

pub(crate) fn slug(text: &str) -> DocSlug {
    DocSlug::parse(text).unwrap()
}

fn group(text: &str) -> DocOwner {
    DocOwner::Group(GroupId::parse(text).unwrap())
}

pub(crate) fn text(kind: &str, slug: &str, body: &str) -> VettedInstruction {
    let new = NewInstruction {
        kind: kind.into(),
        slug: slug.into(),
        title: format!("title of {slug}"),
        description: "d".into(),
        body: body.into(),
        frontmatter: serde_json::json!({"license": "MIT"}).as_object().cloned().unwrap(),
    };
    new.vet(&HouseRules::default()).unwrap()
}

/// Writes for an owner and gives the version.
pub(crate) async fn put(store: &Store, tenant: &impl Tenant, owner: &DocOwner, new: &VettedInstruction) -> i64 {
    match store.instructions().put(tenant, owner, new, None).await.unwrap() {
        InstructionPut::Saved(saved) => saved.version,
        InstructionPut::Conflict { current } => panic!("nothing was expected, but {current} is there"),
    }
}

pub(crate) async fn instructions_are_written_listed_and_read_again(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let all = store.instructions();
    assert_eq!(put(&store, &acme, &DocOwner::Org, &text("skill", "deploy", "one")).await, 1);
    db.clock.advance(Duration::from_secs(1));
    assert_eq!(put(&store, &acme, &DocOwner::Org, &text("skill", "deploy", "two")).await, 2);
    let latest = all.latest(&acme, &DocOwner::Org, &kind("skill"), &slug("deploy")).await.unwrap().unwrap();
    assert_eq!((latest.version, latest.body.as_str(), latest.set_by.as_deref()), (2, "two", Some("operator")));
    assert_eq!(latest.frontmatter["license"], "MIT");
    assert_eq!(latest.digest, skill_digest(&skill_text(&slug("deploy"), text("skill", "deploy", "two").text(), 2)));
    let first = all.get_version(&acme, &DocOwner::Org, &kind("skill"), &slug("deploy"), 1).await.unwrap().unwrap();
    assert_eq!((first.body.as_str(), first.version, first.owner), ("one", 1, DocOwner::Org));
    assert!(first.updated_at < latest.updated_at && first.digest != latest.digest);
    for version in [0, 3, -1] {
        assert_eq!(all.get_version(&acme, &DocOwner::Org, &kind("skill"), &slug("deploy"), version).await.unwrap(), None);
    }
    // The same slug of another kind is another text.
    assert_eq!(put(&store, &acme, &DocOwner::Org, &text("rule", "deploy", "r")).await, 1);
    assert_eq!(all.latest(&acme, &DocOwner::Org, &kind("rule"), &slug("tone")).await.unwrap(), None);
    let nowhere = operator(&store).within(&org_id("nowhere"));
    assert_kind(all.put(&nowhere, &DocOwner::Org, &text("rule", "x", "x"), None).await, StoreErrorKind::Conflict);
}

pub(crate) async fn instructions_are_paged_by_layer_kind_and_slug(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let all = store.instructions();
    let (ops, sales) = (group("ops"), group("sales"));
    for (owner, of, name) in [
        (&sales, "rule", "a"),
        (&DocOwner::Org, "skill", "a-b"),
        (&DocOwner::Org, "skill", "a_b"),
        (&DocOwner::Org, "rule", "z"),
        (&ops, "rule", "z"),
        (&DocOwner::Org, "skill", "a0"),
        (&group("other"), "rule", "hidden"),
    ] {
        put(&store, &acme, owner, &text(of, name, name)).await;
    }
    let layers = [DocOwner::Org, sales.clone(), ops.clone()];
    let expected = ["org:rule/z", "org:skill/a-b", "org:skill/a0", "org:skill/a_b", "group:rule/a", "group:rule/z"];
    let shown = |entries: &[bailiwick_store::InstructionEntry]| -> Vec<String> {
        entries.iter().map(|e| format!("{}:{}/{}", e.owner.kind(), e.kind, e.slug)).collect()
    };
    assert_eq!(shown(&all.list(&acme, &layers, None, None, 200).await.unwrap()), expected);
    for limit in [1, 2, 4, 5] {
        let mut found = Vec::new();
        while let page = all.list(&acme, &layers, None, found.last().map(InstructionEntry::name), limit).await.unwrap()
            && !page.is_empty()
        {
            assert!(page.len() <= usize::try_from(limit).unwrap());
            found.extend(page);
        }
        assert_eq!(shown(&found), expected, "pages of {limit}");
    }
    let rules = all.list(&acme, &layers, Some(&kind("rule")), None, 0).await.unwrap();
    assert_eq!(shown(&rules), expected[..1], "a limit of 0 is one of 1");
    assert_eq!(all.list(&acme, &layers, Some(&kind("rule")), Some(rules[0].name()), 9).await.unwrap().len(), 2);
    let of_both = all.latest_of(&acme, &layers, &kind("rule"), &slug("z")).await.unwrap();
    assert_eq!(of_both.iter().map(|text| &text.owner).collect::<Vec<_>>(), [&DocOwner::Org, &ops]);
    // Who left a group in between cannot go on with its page, and nobody reads through groups without end.
    let whole = all.list(&acme, &layers, None, None, 9).await.unwrap();
    let left = all.list(&acme, &[DocOwner::Org], None, whole.last().map(InstructionEntry::name), 9).await;
    assert_kind(left, StoreErrorKind::Invalid);
    let many = vec![DocOwner::Org; INSTRUCTION_LAYERS_MAX + 1];
    assert_kind(all.list(&acme, &many, None, None, 9).await, StoreErrorKind::Invalid);
    assert_kind(all.latest_of(&acme, &many, &kind("rule"), &slug("z")).await, StoreErrorKind::Invalid);
    assert!(all.list(&acme, &many[1..], Some(&kind("none")), None, INSTRUCTION_PAGE_MAX).await.unwrap().is_empty());
}

pub(crate) async fn expected_versions_are_kept_to(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let all = store.instructions();
    let new = text("rule", "tone", "x");
    let try_put = async |expected| match all.put(&acme, &DocOwner::Org, &new, Some(expected)).await.unwrap() {
        InstructionPut::Saved(saved) => Ok(saved.version),
        InstructionPut::Conflict { current } => Err(current),
    };
    assert_eq!(try_put(1).await, Err(0));
    assert_eq!(db.raw_rows("SELECT version FROM content_docs").await.len(), 0, "a refused write leaves nothing");
    assert_eq!(try_put(0).await, Ok(1));
    assert_eq!(try_put(0).await, Err(1));
    assert_eq!(try_put(1).await, Ok(2));
    assert_eq!(try_put(1).await, Err(2));
    all.delete(&acme, &DocOwner::Org, &kind("rule"), &slug("tone")).await.unwrap();
    assert_eq!(try_put(2).await, Err(0), "a deleted text is none");
    assert_eq!(try_put(0).await, Ok(3));
}

pub(crate) async fn deleted_instructions_keep_their_versions(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let all = store.instructions();
    let (rule, tone) = (kind("rule"), slug("tone"));
    for body in ["one", "two"] {
        put(&store, &acme, &DocOwner::Org, &text("rule", "tone", body)).await;
    }
    all.delete(&acme, &DocOwner::Org, &rule, &tone).await.unwrap();
    assert_kind(all.delete(&acme, &DocOwner::Org, &rule, &tone).await, StoreErrorKind::NotFound);
    assert_kind(all.delete(&acme, &group("ops"), &rule, &tone).await, StoreErrorKind::NotFound);
    assert_eq!(all.latest(&acme, &DocOwner::Org, &rule, &tone).await.unwrap(), None);
    assert!(all.list(&acme, &[DocOwner::Org], None, None, 9).await.unwrap().is_empty());
    assert_eq!(all.get_version(&acme, &DocOwner::Org, &rule, &tone, 2).await.unwrap().unwrap().body, "two");
    assert_eq!(put(&store, &acme, &DocOwner::Org, &text("rule", "tone", "three")).await, 3);
    let history = all.history(&acme, &DocOwner::Org, &rule, &tone, 0, 200).await.unwrap();
    assert_eq!(history.iter().map(|revision| revision.version).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(all.history(&acme, &DocOwner::Org, &rule, &tone, 1, 1).await.unwrap(), history[1..2]);
    assert!(all.history(&acme, &DocOwner::Org, &rule, &slug("never"), 0, 9).await.unwrap().is_empty());
    // A group takes its texts along; a later one of its id begins without them.
    let ops = GroupId::parse("ops").unwrap();
    store.groups().create(&acme, &ops, "Ops").await.unwrap();
    put(&store, &acme, &group("ops"), &text("rule", "tone", "g")).await;
    store.groups().delete(&acme, &ops).await.unwrap();
    store.groups().create(&acme, &ops, "Ops").await.unwrap();
    assert_eq!(all.latest(&acme, &group("ops"), &rule, &tone).await.unwrap(), None);
    assert!(all.latest(&acme, &DocOwner::Org, &rule, &tone).await.unwrap().is_some());
}

pub(crate) async fn instructions_are_reverted_under_the_rules_of_today(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let all = store.instructions();
    let (rule, tone) = (kind("rule"), slug("tone"));
    let at = (&DocOwner::Org, &rule, &tone);
    let none = HouseRules::default();
    assert_eq!(all.revert(&acme, at, 1, None, &none).await.unwrap(), InstructionRevert::UnknownVersion);
    assert_eq!(db.raw_rows("SELECT version FROM content_docs").await.len(), 0);
    for body in ["ask Antonini", "two"] {
        put(&store, &acme, &DocOwner::Org, &text("rule", "tone", body)).await;
    }
    assert_eq!(all.revert(&acme, at, 3, None, &none).await.unwrap(), InstructionRevert::UnknownVersion);
    assert_eq!(all.revert(&acme, at, 1, Some(1), &none).await.unwrap(), InstructionRevert::Conflict { current: 2 });
    let blocklist = Blocklist::new(vec![Term::new("Antonini", TermMode::Word).unwrap()]).unwrap();
    let strict = HouseRules { blocklist, ..HouseRules::default() };
    let InstructionRevert::Refused(reasons) = all.revert(&acme, at, 1, Some(2), &strict).await.unwrap() else {
        panic!("it names somebody")
    };
    assert_eq!(reasons[0].rule, Rule::Blocklist);
    assert_eq!(all.latest(&acme, &DocOwner::Org, &rule, &tone).await.unwrap().unwrap().version, 2);
    let InstructionRevert::Saved(saved) = all.revert(&acme, at, 1, Some(2), &none).await.unwrap() else { panic!("nothing is in the way") };
    let latest = all.latest(&acme, &DocOwner::Org, &rule, &tone).await.unwrap().unwrap();
    assert_eq!((saved.version, latest.version, latest.body.as_str()), (3, 3, "ask Antonini"));
    assert_eq!(latest.digest, saved.digest);
    all.delete(&acme, &DocOwner::Org, &rule, &tone).await.unwrap();
    assert!(matches!(all.revert(&acme, at, 2, Some(0), &none).await.unwrap(), InstructionRevert::Saved(saved) if saved.version == 4));
    assert_eq!(all.latest(&acme, &DocOwner::Org, &rule, &tone).await.unwrap().unwrap().body, "two");
}

pub(crate) async fn writers_at_the_same_time_lose_nothing(db: &TestDb) {
    const WRITERS: i64 = 12;
    let stores = [db.open().await, db.open().await];
    let acme = make_org(&stores[0], "acme").await.scope;
    let mut writing = JoinSet::new();
    for number in 0..WRITERS {
        let (store, acme) = (stores[usize::from(number % 2 == 0)].clone(), acme.clone());
        writing.spawn(async move { (put(&store, &acme, &DocOwner::Org, &text("rule", "tone", &format!("{number}"))).await, number) });
    }
    let mut written: Vec<(i64, i64)> = writing.join_all().await;
    written.sort_unstable();
    assert_eq!(written.iter().map(|(version, _)| *version).collect::<Vec<_>>(), (1..=WRITERS).collect::<Vec<_>>());
    for (version, number) in written {
        let kept =
            stores[0].instructions().get_version(&acme, &DocOwner::Org, &kind("rule"), &slug("tone"), version).await.unwrap().unwrap();
        assert_eq!(kept.body, number.to_string(), "version {version}");
    }
    // All believe in the same version: one of them is right.
    let mut racing = JoinSet::new();
    for number in 0..WRITERS {
        let (store, acme) = (stores[usize::from(number % 2 == 0)].clone(), acme.clone());
        racing.spawn(async move {
            let new = text("rule", "tone", &format!("again {number}"));
            store.instructions().put(&acme, &DocOwner::Org, &new, Some(WRITERS)).await.unwrap()
        });
    }
    let answers = racing.join_all().await;
    let saved = answers.iter().filter(|answer| matches!(answer, InstructionPut::Saved(saved) if saved.version == WRITERS + 1)).count();
    let lost = answers.iter().filter(|answer| **answer == InstructionPut::Conflict { current: WRITERS + 1 }).count();
    assert_eq!((saved, i64::try_from(lost).unwrap()), (1, WRITERS - 1), "{answers:?}");
}

pub(crate) async fn the_largest_texts_fit_and_their_number_is_limited(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    // Two bytes each, so that characters and bytes differ.
    let largest = "é".repeat(BODY_BYTES_MAX / 2);
    put(&store, &acme, &DocOwner::Org, &text("rule", "large", &largest)).await;
    let kept = store.instructions().latest(&acme, &DocOwner::Org, &kind("rule"), &slug("large")).await.unwrap().unwrap();
    assert!(kept.body == largest);
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {INSTRUCTIONS_PER_ORG_MAX}) \
         INSERT INTO content_docs (tenant_id, owner_type, owner_id, kind, slug, title, description, body, frontmatter, version, digest, updated_at) \
         SELECT 'acme', 'group', 'g', 'rule', 's' || i, '', '', 'x', '{{}}', 1, '', 0 FROM n"
    );
    db.raw_execute(&fill).await;
    let one_more = text("rule", "one-more", "x");
    assert_kind(store.instructions().put(&acme, &DocOwner::Org, &one_more, None).await, StoreErrorKind::Invalid);
    assert_eq!(put(&store, &acme, &DocOwner::Org, &text("rule", "large", "small")).await, 2, "what is there may change");
    store.instructions().delete(&acme, &DocOwner::Org, &kind("rule"), &slug("large")).await.unwrap();
    assert_eq!(put(&store, &acme, &DocOwner::Org, &one_more).await, 1);
    let beta = make_org(&store, "beta").await.scope;
    assert_eq!(put(&store, &beta, &DocOwner::Org, &one_more).await, 1, "another organisation has its own number");
}

pub(crate) async fn instructions_belong_to_their_organisation(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await.scope, make_org(&store, "beta").await.scope);
    let all = store.instructions();
    let (rule, tone, owner) = (kind("rule"), slug("tone"), DocOwner::Org);
    put(&store, &acme, &owner, &text("rule", "tone", "canary")).await;
    assert_eq!(all.latest(&beta, &owner, &rule, &tone).await.unwrap(), None);
    assert_eq!(all.latest_of(&beta, &[DocOwner::Org], &rule, &tone).await.unwrap(), []);
    assert_eq!(all.get_version(&beta, &owner, &rule, &tone, 1).await.unwrap(), None);
    assert_eq!(all.list(&beta, &[DocOwner::Org], None, None, 9).await.unwrap(), []);
    assert_eq!(all.history(&beta, &owner, &rule, &tone, 0, 9).await.unwrap(), []);
    let reverted = all.revert(&beta, (&owner, &rule, &tone), 1, None, &HouseRules::default()).await.unwrap();
    assert_eq!(reverted, InstructionRevert::UnknownVersion);
    let foreign = assert_kind(all.delete(&beta, &owner, &rule, &tone).await, StoreErrorKind::NotFound);
    let unknown = assert_kind(all.delete(&beta, &owner, &rule, &slug("never")).await, StoreErrorKind::NotFound);
    assert_eq!(foreign.to_string(), unknown.to_string());
    assert_eq!(put(&store, &beta, &owner, &text("rule", "tone", "other")).await, 1);
    let kept = all.latest(&acme, &owner, &rule, &tone).await.unwrap().unwrap();
    assert_eq!((kept.version, kept.body.as_str()), (1, "canary"));
    // What is damaged is reported and not served.
    let hostile = "INSERT INTO content_docs (tenant_id, owner_type, owner_id, kind, slug, title, description, body, frontmatter, version, digest, \
                   updated_at) VALUES ('acme', 'org', '', 'rule', 'NOT A SLUG', '', '', 'x', '{}', 1, '', 0)";
    assert_eq!(db.raw_execute(hostile).await, 1);
    assert_kind(all.list(&acme, &[DocOwner::Org], None, None, 9).await, StoreErrorKind::Corrupt);
    for broken in ["[]", "not json"] {
        let mut connection = db.raw().await;
        let statement = format!("UPDATE content_docs SET frontmatter = '{broken}' WHERE slug = 'tone'");
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await;
        assert!(refused.is_err(), "{broken}");
    }
    assert_eq!(db.raw_rows("SELECT count(*) FROM content_revisions").await[0].try_get::<i64, _>(0).unwrap(), 2);
}
