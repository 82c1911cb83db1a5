//! What the name of a tool suggests (reference, governance section 7.4). The description is not looked at: its author may be the attacker.

use crate::Risk;

/// Longest part of a name that is looked at, in bytes; admitted names have at most 128.
const NAME_BYTES_MAX: usize = 256;

const VERBS: [(Risk, &[&str]); 6] = [
    (Risk::Destructive, &["delete", "remove", "destroy", "drop", "purge", "wipe", "erase", "terminate", "uninstall", "truncate"]),
    (Risk::PaidOperation, &["pay", "purchase", "buy", "charge", "checkout", "subscribe", "order", "transfer", "refund"]),
    (
        Risk::ExternalPublication,
        &["publish", "post", "send", "tweet", "email", "reply", "comment", "share", "invite", "notify", "broadcast"],
    ),
    (
        Risk::HighRiskWrite,
        &[
            "deploy", "merge", "execute", "exec", "run", "eval", "apply", "grant", "revoke", "rotate", "approve", "restart", "close",
            "install",
        ],
    ),
    (
        Risk::LowRiskWrite,
        &["create", "add", "update", "set", "edit", "save", "upload", "register", "start", "rename", "move", "label", "assign"],
    ),
    (
        Risk::ReadOnly,
        &[
            "get", "list", "search", "read", "fetch", "find", "query", "describe", "show", "status", "count", "lookup", "preview",
            "validate", "plan", "check", "explain",
        ],
    ),
];

/// The gravest class that a word of `name` belongs to; `None` when no word is known.
#[must_use]
pub fn risk_of_name(name: &str) -> Option<Risk> {
    let end = (0..=name.len().min(NAME_BYTES_MAX)).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    words(&name[..end]).iter().filter_map(|word| risk_of_word(word)).max()
}

fn risk_of_word(word: &str) -> Option<Risk> {
    VERBS.iter().find(|(_, verbs)| verbs.iter().any(|verb| is_form_of(word, verb))).map(|(risk, _)| *risk)
}

/// `deletes`, `pushes` and `replies` are forms of `delete`, `push` and `reply`.
fn is_form_of(word: &str, verb: &str) -> bool {
    let Some(ending) = word.strip_prefix(verb) else {
        return word.strip_suffix("ies").is_some_and(|stem| verb.strip_suffix('y') == Some(stem));
    };
    matches!(ending, "" | "s" | "es")
}

/// Splits at everything but letters, before an upper-case letter after a lower-case one, and before the last capital of a run (`HTTPGet`).
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        if !c.is_alphabetic() {
            words.push(String::new());
            continue;
        }
        let after_small = at > 0 && chars[at - 1].is_lowercase();
        let before_small = chars.get(at + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_small || before_small) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gravest_word_wins() {
        for (name, risk) in [
            ("get_issue", Some(Risk::ReadOnly)),
            ("searchIssues", Some(Risk::ReadOnly)),
            ("HTTPGet", Some(Risk::ReadOnly)),
            ("files.delete", Some(Risk::Destructive)),
            ("deletes", Some(Risk::Destructive)),
            ("list-and-delete", Some(Risk::Destructive)),
            ("getOrder", Some(Risk::PaidOperation)),
            ("replies/list", Some(Risk::ExternalPublication)),
            ("send2", Some(Risk::ExternalPublication)),
            ("run_query", Some(Risk::HighRiskWrite)),
            ("addLabel", Some(Risk::LowRiskWrite)),
            ("DELETE", Some(Risk::Destructive)),
            ("getter", None),
            ("undeleted_things", None),
            ("frobnicate", None),
            ("", None),
            ("___", None),
        ] {
            assert_eq!(risk_of_name(name), risk, "{name}");
        }
    }

    #[test]
    fn every_verb_is_found_alone_and_in_one_class_only() {
        let mut all: Vec<&str> = VERBS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        for (risk, verbs) in VERBS {
            for verb in verbs {
                assert_eq!(risk_of_name(&format!("x_{verb}_y")), Some(risk), "{verb}");
            }
        }
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
