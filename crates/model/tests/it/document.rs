//! Positions, duplicate keys, hostile text.

use std::time::{Duration, Instant};

use bailiwick_model::document::{DOCUMENT_BYTES_MAX, Document, Node, Value};

fn fault(text: &str) -> String {
    Document::parse("f.yml", text).map(|document| format!("accepted: {document:?}")).unwrap_err().to_string()
}

fn at<'d>(node: &'d Node, key: &str) -> &'d Node {
    let Value::Map(entries) = &node.value else { panic!("not a mapping") };
    &entries.iter().find(|entry| entry.key == key).unwrap().node
}

#[test]
fn every_key_and_value_knows_its_place() {
    let text = "# first\na: 1\nbb:\n  - x\n  - {y: [2, true]}\n\"c c\": |\n  text\n";
    let root = Document::parse("f.yml", text).unwrap().root;
    let Value::Map(entries) = &root.value else { panic!("mapping") };
    let keys: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.key_place.line, e.key_place.column)).collect();
    assert_eq!(keys, [("a", 2, 1), ("bb", 3, 1), ("c c", 6, 1)]);
    assert_eq!((at(&root, "a").place.line, at(&root, "a").place.column), (2, 4));
    let Value::List(items) = &at(&root, "bb").value else { panic!("list") };
    assert_eq!((items[0].place.line, items[0].place.column), (4, 5));
    let y = at(&items[1], "y");
    assert_eq!((y.place.line, y.place.column), (5, 9));
    assert_eq!(at(&root, "c c").value, Value::Text("text\n".to_owned()));
}

#[test]
fn json_is_yaml() {
    let root = Document::parse("f.json", "{\n  \"a\": {\"b\": [1, -2, 1.5, null, false, \"no\"]}\n}").unwrap().root;
    let Value::List(items) = &at(at(&root, "a"), "b").value else { panic!("list") };
    assert_eq!(items[1].value, Value::Number((-2).into()));
    assert_eq!(items[3].value, Value::Null);
    assert_eq!(items[4].value, Value::Bool(false));
    assert_eq!(items[5].value, Value::Text("no".to_owned()));
    assert_eq!((items[5].place.line, items[5].place.column), (2, 40));
}

#[test]
fn plain_words_stay_text_and_numbers_stay_exact() {
    let root = Document::parse("f.yml", "a: no\nb: 18446744073709551615\nc: 007\nd: ~\ne: 2026-07-28\n<<: {f: 1}\n").unwrap().root;
    assert_eq!(at(&root, "a").value, Value::Text("no".to_owned()));
    assert_eq!(at(&root, "b").value, Value::Number(u64::MAX.into()));
    assert_eq!(at(&root, "d").value, Value::Null);
    assert_eq!(at(&root, "e").value, Value::Text("2026-07-28".to_owned()));
    assert_eq!(at(&root, "f").value, Value::Number(1.into()), "a merged key");
}

#[test]
fn duplicate_keys_are_refused_at_every_level() {
    assert_eq!(fault("a: 1\nb:\n  c: 1\n  c: 2\n"), "error: duplicate key `c`\n  --> f.yml:4:3");
    assert_eq!(fault("{\"a\": 1, \"a\": 2}"), "error: duplicate key `a`\n  --> f.yml:1:10");
    assert_eq!(fault("- x: {k: 1, 'k': 2}\n"), "error: duplicate key `k`\n  --> f.yml:1:13");
}

#[test]
fn broken_text_names_the_place_and_never_shows_the_value() {
    for (text, line) in [
        ("a: [1, 2\nb: 3\n", ""),
        ("a: hunter2: x\n", "f.yml:1:"),
        ("a: \"hunter2\n", "f.yml:"),
        ("a: *hunter2\n", "f.yml:1:"),
        ("a: !!int hunter2\n", "f.yml:1:"),
        ("a: !hunter2 x\n", "f.yml:1:"),
        ("a: 1e999\n", "f.yml:1:"),
        ("? [hunter2]\n: 1\n", "f.yml:1:"),
        ("a: 1\n---\nb: hunter2\n", "f.yml:"),
        ("a: hunter2\n}\n", "f.yml:2:"),
    ] {
        let fault = fault(text);
        assert!(fault.starts_with("error: ") && fault.contains("\n  --> f.yml:") && fault.contains(line), "{text:?}: {fault}");
        assert!(!fault.contains("hunter2"), "{text:?}: {fault}");
    }
}

#[test]
fn empty_text_is_null() {
    for text in ["", " \n", "\u{feff}", "# only a comment\n", "---\n"] {
        assert_eq!(Document::parse("f.yml", text).unwrap().root.value, Value::Null, "{text:?}");
    }
}

#[test]
fn hostile_text_ends_soon() {
    let aliases = |levels: usize| {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..levels {
            let uses = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{uses}]\n"));
        }
        text
    };
    let merges = format!("base: &b {{{}}}\n{}", (0..500).map(|i| format!("k{i}: 1")).collect::<Vec<_>>().join(", "), {
        (0..400).map(|i| format!("m{i}: {{<<: *b}}\n")).collect::<String>()
    });
    let started = Instant::now();
    for text in [
        "x".repeat(DOCUMENT_BYTES_MAX + 1),
        "[".repeat(100_000),
        format!("{}1{}", "[".repeat(40), "]".repeat(40)),
        (0..2_000).map(|i| format!("{}a:\n", " ".repeat(i))).collect(),
        "- ".repeat(200_000),
        aliases(9),
        merges,
        format!("[{}]", "1,".repeat(200_000)),
        "{".repeat(1_000),
        "&a [*a]".to_owned(),
        "\"".repeat(500_001),
        "? ".repeat(200_000),
        "!".repeat(500_000),
        "%".repeat(500_000),
    ] {
        let fault = fault(&text);
        assert!(fault.len() < 400, "{fault}");
    }
    // Unoptimised, on a busy machine; without limits some of these need minutes and gigabytes.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(Document::parse("f.yml", &aliases(3)).is_ok());
}

#[test]
fn dotted_paths_lead_to_places() {
    let text = "\
modules:
  docs:
    config:
      services:
        - {name: a}
        - name: b
          url.base: x
  a.b: {c: [[1, 2]]}
";
    let document = Document::parse("f.yml", text).unwrap();
    let at = |path: &str| {
        let place = document.place_of(path);
        (place.line, place.column)
    };
    assert_eq!(at("modules.docs.config.services.1.name"), (6, 17));
    assert_eq!(at("modules.docs.config.services[1].name"), (6, 17));
    assert_eq!(at("modules.docs.config.services[1].url.base"), (7, 21));
    assert_eq!(at("modules.a.b.c[0][1]"), (8, 17));
    assert_eq!(at("modules.a.b.c.0.1"), (8, 17));
    // What is not there: the nearest ancestor.
    assert_eq!(at("modules.docs.config.services.2.name"), (5, 9));
    assert_eq!(at("modules.docs.config.base_path"), (4, 7));
    assert_eq!(at("modules.doc"), (2, 3));
    assert_eq!(at(""), (1, 1));
    assert_eq!(at("nothing"), (1, 1));
}
