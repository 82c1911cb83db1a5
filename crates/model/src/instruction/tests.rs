//! The table of reference 2.3, row by row, and that no trick hides a name.

use proptest::prelude::*;
use serde_json::json;
use unicode_normalization::UnicodeNormalization as _;

use super::hidden::default_ignorable;
use super::*;

fn valid() -> NewInstruction {
    NewInstruction {
        kind: "rule".into(),
        slug: "tone-of-voice".into(),
        title: "Tone".into(),
        description: "How to write".into(),
        body: "Write briefly.\n".into(),
        frontmatter: Map::new(),
    }
}

fn body(text: &str) -> NewInstruction {
    NewInstruction { body: text.into(), ..valid() }
}

fn frontmatter(value: Value) -> NewInstruction {
    NewInstruction { frontmatter: value.as_object().unwrap().clone(), ..valid() }
}

fn naming(terms: &[&str], mode: TermMode) -> HouseRules {
    let terms = terms.iter().map(|term| Term::new(term, mode).unwrap()).collect();
    HouseRules { blocklist: Blocklist::new(terms).unwrap(), ..HouseRules::default() }
}

fn attribution() -> HouseRules {
    HouseRules { forbid_attribution: true, ..HouseRules::default() }
}

fn found(new: &NewInstruction, rules: &HouseRules) -> Vec<(Rule, String)> {
    check(new, rules).into_iter().map(|reason| (reason.rule, reason.field)).collect()
}

#[test]
fn a_plain_text_passes_and_becomes_vetted() {
    let rules = HouseRules { forbid_attribution: true, ..naming(&["Antonini"], TermMode::Word) };
    let vetted = valid().vet(&rules).unwrap();
    assert_eq!((vetted.kind().as_str(), vetted.slug().as_str(), vetted.text()), ("rule", "tone-of-voice", &valid()));
    assert_eq!(NewInstruction { slug: String::new(), ..valid() }.vet(&rules).unwrap_err()[0].rule, Rule::Name);
}

#[test]
fn names_and_sizes_follow_the_reference() {
    let none = HouseRules::default();
    for good in ["a", "0", "a_b-c", &"a".repeat(64)] {
        assert_eq!(check(&NewInstruction { kind: good.into(), slug: good.into(), ..valid() }, &none), [], "{good}");
    }
    for bad in ["", "../x", "A", "-a", "_a", "a b", "a.b", "é", "a\n", &"a".repeat(65)] {
        let reasons = found(&NewInstruction { kind: bad.into(), slug: bad.into(), ..valid() }, &none);
        assert!(reasons.starts_with(&[(Rule::Name, "kind".into()), (Rule::Name, "slug".into())]), "{bad}: {reasons:?}");
    }
    let largest = NewInstruction {
        title: "é".repeat(TITLE_CHARS_MAX),
        description: "é".repeat(DESCRIPTION_CHARS_MAX),
        body: "x".repeat(BODY_BYTES_MAX),
        ..valid()
    };
    assert_eq!(check(&largest, &none), []);
    let larger = NewInstruction {
        title: "é".repeat(TITLE_CHARS_MAX + 1),
        description: "é".repeat(DESCRIPTION_CHARS_MAX + 1),
        body: "x".repeat(BODY_BYTES_MAX + 1),
        ..valid()
    };
    assert_eq!(found(&larger, &none), ["title", "description", "body"].map(|field| (Rule::Size, field.to_owned())));
    assert_eq!(found(&body(""), &none), [(Rule::Size, "body".into())]);
}

#[test]
fn every_text_is_searched_for_names() {
    let rules = naming(&["Antonini"], TermMode::Word);
    let name = "ask Antonini".to_owned();
    for (new, field) in [
        (NewInstruction { title: name.clone(), ..valid() }, "title"),
        (NewInstruction { description: name.clone(), ..valid() }, "description"),
        (NewInstruction { kind: "antonini".into(), ..valid() }, "kind"),
        (NewInstruction { slug: "antonini_rule".into(), ..valid() }, "slug"),
        (body(&name), "body"),
        (frontmatter(json!({"a": {"b": [1, null, {"c d": "ANTONINI"}]}})), "frontmatter.a.b[2].*"),
        (frontmatter(json!({"a": {"Antonini": 1}})), "frontmatter.a"),
    ] {
        assert_eq!(found(&new, &rules), [(Rule::Blocklist, field.into())]);
    }
    let spaced = naming(&["Jean Dupont"], TermMode::Word);
    for new in [NewInstruction { slug: "for-jean_dupont".into(), ..valid() }, body("Jean\u{a0}\n  Dupont")] {
        assert_eq!(found(&new, &spaced).len(), 1, "{new:?}");
    }
}

#[test]
fn hidden_and_composed_spellings_are_the_same_name() {
    for (term, text) in [
        ("Antonini", "A\u{200b}ntonini"),
        ("Antonini", "ANTO\u{ad}NINI"),
        ("Antonini", "Ａｎｔｏｎｉｎｉ"),
        ("Antonini", "𝐀𝐧𝐭𝐨𝐧𝐢𝐧𝐢"),
        ("Anto\u{200b}nini", "Antonini"),
        ("Müller", "Mu\u{308}ller"),
        ("Mu\u{308}ller", "Müller"),
        ("Müller", "Mu\u{200d}\u{308}ller"),
        ("Strauß", "STRAUSS"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
    ] {
        let reasons = check(&body(text), &naming(&[term], TermMode::Word));
        assert!(reasons.iter().any(|reason| reason.rule == Rule::Blocklist), "{term} in {text:?}");
    }
}

#[test]
fn words_end_where_a_reader_sees_their_end() {
    let holds = |term: &str, mode, text: &str| !check(&body(text), &naming(&[term], mode)).is_empty();
    for text in ["antoninien", "xantonini", "antonini2", "Antoninié"] {
        assert!(!holds("Antonini", TermMode::Word, text), "{text}");
        assert!(holds("Antonini", TermMode::Substring, text), "{text}");
    }
    for text in ["Antonini's", "(antonini)", "x_antonini_y", "`Antonini`", "antoninien Antonini", "l'Antonini"] {
        assert!(holds("Antonini", TermMode::Word, text), "{text}");
    }
    // An occurrence within a word must not swallow the beginning of the next one.
    assert!(holds("a a", TermMode::Word, "xa a a"));
    assert!(holds("C++", TermMode::Word, "wrote C++17"), "a sign ends a word by itself");
    assert!(!holds("C++", TermMode::Word, "wrote ABC++"));
    for bad in ["", " ", "\u{200b}", &"x".repeat(201)] {
        assert!(Term::new(bad, TermMode::Word).is_err(), "{bad:?}");
    }
    let term = Term::new("x", TermMode::Word).unwrap();
    assert!(Blocklist::new(vec![term.clone(); BLOCKLIST_TERMS_MAX]).is_ok());
    assert!(Blocklist::new(vec![term; BLOCKLIST_TERMS_MAX + 1]).is_err());
}

#[test]
fn every_reason_is_given_and_names_stay_secret() {
    let rules = HouseRules { forbid_attribution: true, require_frontmatter: true, ..naming(&["Secretname", "Other"], TermMode::Word) };
    let new =
        NewInstruction { kind: "A".into(), slug: String::new(), title: "secretname".into(), ..body("Other, Secretname\u{7}: \"x\" - Foo") };
    let reasons = check(&new, &rules);
    let expected = [
        (Rule::Name, "kind"),
        (Rule::Name, "slug"),
        (Rule::Frontmatter, "frontmatter.name"),
        (Rule::Frontmatter, "frontmatter.description"),
        (Rule::Blocklist, "title"),
        (Rule::ControlCharacter, "body"),
        (Rule::Blocklist, "body"),
        (Rule::Blocklist, "body"),
        (Rule::Attribution, "body"),
    ];
    let given: Vec<_> = reasons.iter().map(|reason| (reason.rule, reason.field.as_str())).collect();
    assert_eq!(given, expected);
    let shown = serde_json::to_string(&reasons).unwrap() + &reasons.iter().map(Reason::line).collect::<String>();
    assert!(!shown.to_lowercase().contains("secretname"), "{shown}");
    assert!(reasons[4].term.as_ref().unwrap().contains("Secretname"));
    for reason in &reasons {
        assert_eq!(serde_json::to_value(reason.rule).unwrap(), reason.rule.as_str());
    }
    let many: Vec<String> = (0..600).map(|n| format!("n{n}x")).collect();
    let terms: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(check(&body(&many.join(" ")), &naming(&terms, TermMode::Word)).len(), REASONS_MAX);
}

#[test]
fn attributions_are_found_outside_code() {
    let refused = [
        "« x » — Dupont",
        "\"x\" - Foo",
        "“x” – Ünal",
        "\"x\"—Foo",
        "« x » (Dupont)",
        "\"x\" ( Jean de Brus, 2019 )",
        "\"x\"\n— Foo",
        "\"x\" \u{200b}- Foo",
        "« x » — E\u{301}mile",
        "`code` \"x\" - Foo",
        "a ` b \"x\" - Foo",
        "```\ncode\n```\n\"x\" - Foo",
        "\"x\" - O'Neil",
    ];
    for text in refused {
        assert_eq!(found(&body(text), &attribution()).iter().filter(|(rule, _)| *rule == Rule::Attribution).count(), 1, "{text}");
        assert!(found(&body(text), &HouseRules::default()).iter().all(|(rule, _)| *rule != Rule::Attribution));
    }
    let accepted = [
        "« x » — dupont",
        "« x » (dupont)",
        "« x » (a Dupont)",
        "`\"a\" - Foo`",
        "``\"a\" ` - Foo``",
        "```\n\"a\" - Foo\n```",
        "~~~ text\n\"a\" - Foo",
        "\"x\" - F",
        "\"x\"\n- Foo is a list",
        "\"x\" `y` — Foo",
        "press \"Save\" (Ctrl+S)",
        "\"x\" (Dupont",
        "x - Foo",
        "« x » — élan",
    ];
    for text in accepted {
        assert_eq!(found(&body(text), &attribution()), [], "{text}");
    }
    // Code hides an attribution, not a name.
    assert_eq!(found(&body("`\"a\" - Foo`"), &naming(&["Foo"], TermMode::Word)), [(Rule::Blocklist, "body".into())]);
    let titled = NewInstruction { title: "\"x\" - Foo".into(), ..valid() };
    assert_eq!(found(&titled, &attribution()), [(Rule::Attribution, "title".into())]);
}

#[test]
fn a_required_frontmatter_has_name_and_description() {
    let rules = HouseRules { require_frontmatter: true, ..HouseRules::default() };
    assert_eq!(check(&frontmatter(json!({"name": "n", "description": "d"})), &rules), []);
    for value in [json!({}), json!({"name": "", "description": " "}), json!({"name": 1, "description": null})] {
        let fields = ["frontmatter.name", "frontmatter.description"].map(|field| (Rule::Frontmatter, field.to_owned()));
        assert_eq!(found(&frontmatter(value.clone()), &rules), fields, "{value}");
        assert_eq!(found(&frontmatter(value), &HouseRules::default()), []);
    }
    let none = HouseRules::default();
    assert_eq!(found(&frontmatter(json!({"metadata": "x"})), &none), [(Rule::Frontmatter, "frontmatter.metadata".into())]);
    let nested = |levels: usize| (1..levels).fold(json!([]), |inner, _| json!([inner]));
    assert_eq!(found(&frontmatter(json!({"a": nested(FRONTMATTER_DEPTH_MAX - 1)})), &none), []);
    assert_eq!(found(&frontmatter(json!({"a": nested(FRONTMATTER_DEPTH_MAX)})), &none), [(Rule::Size, "frontmatter".into())]);
    assert_eq!(found(&frontmatter(json!({"a": "x".repeat(FRONTMATTER_BYTES_MAX - 8)})), &none), []);
    assert_eq!(found(&frontmatter(json!({"a": "x".repeat(FRONTMATTER_BYTES_MAX - 7)})), &none), [(Rule::Size, "frontmatter".into())]);
    assert_eq!(found(&frontmatter(json!({"a".repeat(FRONTMATTER_KEY_CHARS_MAX): 1})), &none), []);
    assert_eq!(found(&frontmatter(json!({"a".repeat(FRONTMATTER_KEY_CHARS_MAX + 1): 1})), &none), [(Rule::Size, "frontmatter".into())]);
}

#[test]
fn hidden_characters_are_refused_with_their_place() {
    let reason = |text: &str| check(&body(text), &HouseRules::default());
    let line = |text: &str| reason(text).iter().map(Reason::line).collect::<Vec<_>>().join("; ");
    assert_eq!(line("a\nbc\u{202e}d\u{202e}"), "body: U+202E at line 2, character 3, and 1 more");
    for (rule, hostile) in [
        (Rule::ControlCharacter, &["\u{7}", "\r", "\u{1b}[0m", "\u{85}", "\0"][..]),
        (Rule::BidiCharacter, &["\u{202a}", "\u{202e}", "\u{2066}", "\u{2069}"]),
        (
            Rule::HiddenCharacter,
            &[
                "\u{200b}",
                "x\u{200d}y",
                "a\u{200d}\u{1f469}",
                "\u{1f469}\u{200d}\u{200d}\u{1f469}",
                "\u{1f469}\u{200d}",
                "\u{e0041}",
                "\u{1f3f4}\u{e0067}\u{e007f}",
                "\u{ad}",
                "\u{feff}",
                "\u{2060}",
                "\u{3164}",
                "a\u{fe0f}",
                "\u{2764}\u{fe0f}\u{fe0f}",
                "\u{200f}",
                "\u{fffa}",
                "é\u{e0101}",
                "\u{34f}",
                "Я\u{200d}Я",
            ],
        ),
    ] {
        for text in hostile {
            let reasons = reason(&format!("a {text} b"));
            assert!(reasons.len() == 1 && reasons[0].rule == rule, "{text:?}: {reasons:?}");
        }
    }
    for fine in [
        "line\n\ttab",
        "👩\u{200d}💻 🏳\u{fe0f}\u{200d}🌈 ❤\u{fe0f}\u{200d}🔥 🧑🏽\u{200d}🚒",
        "1\u{fe0f}\u{20e3} ©\u{fe0f}",
        "می\u{200c}خواهم",
        "क्\u{200d}ष",
        "葛\u{e0100}城",
        "שלום\u{200f}!",
        "é ü 漢字 Ω",
    ] {
        assert_eq!(reason(fine), [], "{fine:?}");
    }
    let key = frontmatter(json!({"a\u{202e}": "b\u{200b}"}));
    let places = [(Rule::BidiCharacter, "frontmatter".to_owned()), (Rule::HiddenCharacter, "frontmatter.*".to_owned())];
    assert_eq!(found(&key, &HouseRules::default()), places);
}

/// One way of writing a character that looks the same or is not seen.
fn disguised(c: char, trick: u8, ignorable: char) -> String {
    let mathematical = |c: char| c.is_ascii_lowercase().then(|| char::from_u32(0x1d41a + u32::from(c) - u32::from('a'))).flatten();
    match trick % 9 {
        0 => c.to_uppercase().collect(),
        1 => c.to_lowercase().collect(),
        2 => c.nfd().collect(),
        3 if c.is_ascii_alphabetic() => char::from_u32(u32::from(c) + 0xfee0).unwrap().into(),
        4 => mathematical(c).unwrap_or(c).into(),
        5 => format!("{c}{ignorable}"),
        6 => format!("{ignorable}{}", c.nfd().collect::<String>()),
        7 if c == ' ' => "\n\u{a0} ".into(),
        _ => c.into(),
    }
}

proptest! {
    #[test]
    fn no_trick_hides_a_name(
        name in prop::sample::select(vec!["Antonini", "Müller", "Jean Dupont", "Straße", "Ångström"]),
        tricks in prop::collection::vec((any::<u8>(), prop::sample::select(vec!['\u{200b}', '\u{ad}', '\u{2060}', '\u{fe0f}', '\u{e0041}', '\u{202e}'])), 12),
        place in 0..5_u8,
        before in "[a-z ]{0,8}[ .(]",
        after in "[ .)'][a-z ]{0,8}",
    ) {
        let written: String = name.chars().zip(&tricks).map(|(c, (trick, ignorable))| disguised(c, *trick, *ignorable)).collect();
        let text = format!("{before}{written}{after}");
        let new = match place {
            0 => NewInstruction { title: text, ..valid() },
            1 => NewInstruction { description: text, ..valid() },
            2 => body(&text),
            3 => frontmatter(json!({"a": [text]})),
            _ => frontmatter(json!({text: 1})),
        };
        let reasons = check(&new, &naming(&[name], TermMode::Word));
        prop_assert!(reasons.iter().any(|reason| reason.rule == Rule::Blocklist), "{new:?}: {reasons:?}");
    }

    #[test]
    fn clean_texts_pass(
        words in prop::collection::vec(
            prop::sample::select(vec!["read", "the", "antoninien", "Müllerin", "👩\u{200d}💻", "`x - Y`", "\n- Item", "(See below)", "\t", "漢字", "don't", "C++"]),
            1..40,
        ),
    ) {
        let rules = HouseRules { forbid_attribution: true, ..naming(&["Antonini", "Müller", "Jean Dupont"], TermMode::Word) };
        prop_assert_eq!(check(&body(&words.join(" ")), &rules), []);
    }

    /// Any text at all: no panic, and what the check lets through holds no control characters and nothing that is hidden by itself.
    #[test]
    fn any_text_is_judged(text in any::<String>(), title in "\\PC{0,20}") {
        let new = NewInstruction { title: title.clone(), ..body(&text) };
        let rules = HouseRules { forbid_attribution: true, require_frontmatter: false, ..naming(&["x", "é"], TermMode::Substring) };
        let reasons = check(&new, &rules);
        let seen: String = text.chars().filter(|c| !default_ignorable(*c)).collect();
        let clean = !text.is_empty() && reasons.iter().all(|reason| reason.field != "body");
        prop_assert!(!clean || !seen.to_lowercase().contains(['x', 'é']));
        prop_assert!(!clean || !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')));
    }
}
