//! What is wrong with a file, told as a compiler would: the rule, the place, the line itself, the remedy.
//!
//! ```text
//! error: unknown key `moed`
//!   --> research.yml:12:5  modules.docs.moed
//!    |
//! 12 |     moed: read
//!    |     ^^^^
//!    = hint: did you mean `mode`?
//! ```

mod hide;
mod line;

use std::fmt::Write as _;

use bailiwick_model::Mistake;
use bailiwick_model::document::{Document, Origin};
use bailiwick_model::mistake::{Severity, printable};

use hide::Hidden;

/// A text that mistakes are about.
pub(crate) struct Source<'t> {
    lines: Vec<&'t str>,
    hidden: Hidden,
}

impl<'t> Source<'t> {
    /// The text with its tree; without a tree, what may be a secret is guessed from the lines.
    pub(crate) fn new(text: &'t str, document: Option<&Document>) -> Self {
        let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
        let hidden = document.map_or_else(|| Hidden::guess(&lines), Hidden::of);
        Self { lines, hidden }
    }

    /// One block for each mistake, an empty line behind each.
    pub(crate) fn tell(&self, mistakes: &[Mistake], dropped: usize, color: bool) -> String {
        let mut text = String::new();
        for mistake in mistakes {
            self.block(&mut text, mistake, Paint { color, severity: mistake.severity });
        }
        if dropped > 0 {
            let paint = Paint { color, severity: Severity::Error };
            text.push_str(&format!("{}: and {dropped} more\n\n", paint.level("error")));
        }
        text
    }

    fn block(&self, text: &mut String, mistake: &Mistake, paint: Paint) {
        let word = if mistake.severity == Severity::Error { "error" } else { "warning" };
        let shown = self.shown(mistake);
        let width = shown.as_ref().map_or(1, |_| mistake.place.line.to_string().len());
        let file = printable_path(&mistake.file);
        let place = match mistake.place.origin {
            Origin::File => format!("{file}:{}:{}", mistake.place.line, mistake.place.column),
            Origin::Environment(name) => format!("environment variable {name}"),
        };
        let path = if mistake.path.is_empty() { String::new() } else { format!("  {}", mistake.path) };
        let bar = paint.frame(&format!("{:width$} |", ""));
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{}{}", paint.level(word), paint.bold(&format!(": {}", mistake.message)));
        let _ = writeln!(text, "{:width$}{} {place}{path}", "", paint.frame("-->"));
        if let Some(shown) = shown {
            let number = paint.frame(&format!("{} |", mistake.place.line));
            let _ = writeln!(text, "{bar}\n{number} {}", shown.text);
            let _ = writeln!(text, "{bar} {:indent$}{}", "", paint.level(&"^".repeat(shown.width)), indent = shown.indent);
        }
        if let Some(hint) = &mistake.hint {
            let _ = writeln!(text, "{:width$} {} hint: {hint}", "", paint.frame("="));
        }
        text.push('\n');
    }

    /// The line of the mistake; `None` for a value from the environment, a file that has no such line, and an empty line.
    fn shown(&self, mistake: &Mistake) -> Option<line::Shown> {
        if mistake.place.origin != Origin::File {
            return None;
        }
        let text = self.lines.get(usize::try_from(mistake.place.line).ok()?.checked_sub(1)?)?;
        if text.trim().is_empty() {
            return None;
        }
        let chars: Vec<char> = text.chars().collect();
        let hidden = self.hidden.on(mistake.place.line, &chars);
        Some(line::show(&chars, usize::try_from(mistake.place.column).ok()?.saturating_sub(1), &hidden))
    }
}

/// A path is longer than what [`printable`] keeps of a key, and the operator's own.
fn printable_path(path: &str) -> String {
    if path.chars().any(char::is_control) { printable(path) } else { path.to_owned() }
}

/// Colour, if any.
#[derive(Clone, Copy)]
struct Paint {
    color: bool,
    severity: Severity,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn level(self, text: &str) -> String {
        self.with(if self.severity == Severity::Error { "1;31" } else { "1;33" }, text)
    }

    fn frame(self, text: &str) -> String {
        self.with("1;34", text)
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_model::{Config, Manifest};
    use bailiwick_modules::ModuleRegistry;

    fn config(text: &str, color: bool) -> String {
        let reading = Config::examine("b.yml", text, &|_| None);
        Source::new(text, reading.document.as_ref()).tell(&reading.mistakes, reading.dropped, color)
    }

    #[test]
    fn a_block_has_rule_place_line_and_remedy() {
        assert_eq!(
            config("# x\nlisen: 1\n", false),
            "error: unknown key `lisen`\n --> b.yml:2:1  lisen\n  |\n2 | lisen: 1\n  | ^^^^^\n  = hint: did you mean `listen`?\n\n"
        );
        let far = config(&format!("{}names: {{max_length: 1}}\n", "\n".repeat(99)), false);
        assert!(
            far.contains("\n   --> b.yml:100:21  names.max_length\n    |\n100 | names: {max_length: 1}\n    |                     ^\n"),
            "{far}"
        );
    }

    #[test]
    fn colour_changes_no_letter() {
        let text = "lisen: 1\naudit: {mode: x}\n";
        let colored = config(text, true);
        assert!(colored.starts_with("\u{1b}[1;31merror\u{1b}[0m\u{1b}[1m: unknown key"), "{colored:?}");
        let mut plain = String::new();
        for (index, part) in colored.split('\u{1b}').enumerate() {
            plain.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, config(text, false));
    }

    #[test]
    fn values_of_credentials_are_not_shown() {
        // The secret stands on the line of the mistake, before, behind and within it, in one line and in several.
        for text in [
            "servers: {a: {url: 5, headers: {Authorization: hunter2}}}\n",
            "servers: {a: {headers: {Authorization: hunter2}, url: 5}}\n",
            "servers: {a: {headers: {Authorization: 'hun\n   hunter2'}, url: 5}}\n",
            "servers: {a: {api_key: hunter2}}\n",
            "servers: {a: {pasword: hunter2}}\n",
            "servers:\n  a:\n    token: [hunter2]\n",
            "servers:\n  a:\n    env:\n      GITHUB_TOKEN:\n        - hunter2\n",
            "log: {token: &a hunter2, filter: [*a]}\n",
            "database: mysql://bw:hunter2@db/x\n",
            "database: 'mysql://bw:hun/hunter2@db/x' # u\n",
            // Not YAML: there is no tree.
            "password: \"hunter2\n",
            "x: [1\npassword: hunter2\n",
            "env:\n  API_KEY: 'hunter2\n  hunter2\n  x: [\n",
            "token: hunter2: x\n",
            "a: {token: hunter2 x: [\n",
        ] {
            let told = config(text, false);
            assert!(told.contains("error: ") && !told.contains("hunter2"), "{text}\n{told}");
        }
        let hidden = config("servers: {a: {token: hunter2, moed: x}}\n", false);
        assert!(hidden.contains("1 | servers: {a: {token: <redacted>, moed: x}}\n  |                                  ^^^^\n"), "{hidden}");
        // A reference is not the value.
        let named = config("servers: {a: {token: \"${NOPE}\", x: 1}}\n", false);
        assert!(named.contains("{token: \"${NOPE}\", x: 1}"), "{named}");
    }

    /// Where credentials come from is no secret; what was taken for the place to write them down may be one.
    #[test]
    fn the_section_of_credentials_is_shown_as_far_as_it_helps() {
        let manifest = |text: &str| {
            let text = format!("agent_type: a\nmodules: {{filesystem: {{mode: read, config: {{base_path: /x}}}}}}\n{text}");
            let reading = Manifest::examine("m.yml", &text, &|_| None, &ModuleRegistry::with_builtin());
            Source::new(&text, reading.document.as_ref()).tell(&reading.mistakes, reading.dropped, false)
        };
        for (text, shown) in [
            ("credentials:\n  source: fle\n", "4 |   source: fle\n"),
            ("credentials:\n  source: file\n  pth: hunter2\n", "5 |   pth: <redacted>\n"),
            ("credentials: {source: vault, vault: {adr: hunter2, path: x}}\n", "{source: vault, vault: {adr: <redacted>, path: x}}\n"),
            ("credentials: {source: vault, vault: {addr: 'https://u:hunter2@v', path: x, auth: y}}\n", "auth: y}}\n"),
            ("credentials:\n  NTFY: hunter2\n  source: env\n", "4 |   NTFY: <redacted>\n"),
            ("credentials: hunter2\n", "credentials: <redacted>"),
            ("credentials: [hunter2]\n", "credentials: "),
            ("credentials: {vault: hunter2}\n", "vault: "),
            // Not YAML: there is no tree.
            ("credentials:\n  source: [file\n", "4 |   source: [file"),
            ("credentials:\n  path: x\n  NTFY: [hunter2\n", "error: "),
            ("credentials:\n  path: x\n  NTFY: 'a\n   hunter2\n", "error: "),
        ] {
            let told = manifest(text);
            assert!(told.contains(shown) && !told.contains("hunter2"), "{text}\n{told}");
        }
    }

    #[test]
    fn hostile_lines_are_cut_and_escaped() {
        let long = format!("{{\"a\": \"{}\", \"lisen\": 1, \"b\": \"{}\"}}", "x".repeat(5_000), "y".repeat(5_000));
        let told = config(&long, false);
        assert!(told.lines().filter(|line| !line.contains("hint: ")).all(|line| line.chars().count() < 140), "{told}");
        assert!(told.contains("\"lisen\": 1"), "{told}");
        let escape = config("\"x\u{202e}\u{7}\": 1\n", false);
        assert!(!escape.contains(['\u{202e}', '\u{7}', '\u{1b}']), "{escape:?}");
    }

    #[test]
    fn a_manifest_points_at_elements_of_lists() {
        let text = "agent_type: a\nservers: {t: }\npolicy:\n  deny:\n    - t__x\n    - \"files_*\"\n";
        let reading = Manifest::examine("m.yml", text, &|_| None, &ModuleRegistry::with_builtin());
        let told = Source::new(text, reading.document.as_ref()).tell(&reading.mistakes, 0, false);
        let expected = "warning: `files_*` matches no tool of this manifest\n --> m.yml:6:7  policy.deny[1]\n  |\n6 |     - \"files_*\"\n  |       ^^^^^^^^^\n";
        assert!(told.starts_with(expected), "{told}");
    }
}
