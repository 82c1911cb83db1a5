//! Text that may name secrets: `Bearer ${secret:TICKETS_TOKEN}`.

use crate::document::Piece;
use crate::sensitive::Sensitive;

/// Text whose secrets are filled in at the moment of use. The plain pieces are treated as secret too: they may come from a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretText {
    pieces: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Plain(Sensitive),
    Secret(String),
}

impl SecretText {
    /// Text without a secret.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self { pieces: vec![Part::Plain(Sensitive::new(text))] }
    }

    pub(crate) fn from_pieces(pieces: &[Piece]) -> Self {
        let part = |piece: &Piece| match piece {
            Piece::Plain(text) => Part::Plain(Sensitive::new(text.as_str())),
            Piece::Secret(name) => Part::Secret(name.clone()),
        };
        Self { pieces: pieces.iter().map(part).collect() }
    }

    /// The secrets it names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|part| match part {
            Part::Secret(name) => Some(name.as_str()),
            Part::Plain(_) => None,
        })
    }

    pub(crate) fn plain_parts(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|part| match part {
            Part::Plain(text) => Some(text.expose()),
            Part::Secret(_) => None,
        })
    }

    /// The text with every secret in its place.
    ///
    /// # Errors
    /// The name of the first secret that `find` does not have.
    pub fn fill(&self, find: &dyn Fn(&str) -> Option<Sensitive>) -> Result<Sensitive, String> {
        let mut text = String::new();
        for part in &self.pieces {
            match part {
                Part::Plain(plain) => text.push_str(plain.expose()),
                Part::Secret(name) => text.push_str(find(name).ok_or_else(|| name.clone())?.expose()),
            }
        }
        Ok(Sensitive::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_and_never_prints() {
        let text = SecretText::from_pieces(&[Piece::Plain("Bearer abc".into()), Piece::Secret("T".into())]);
        assert_eq!(text.names().collect::<Vec<_>>(), ["T"]);
        let filled = text.fill(&|name| (name == "T").then(|| Sensitive::new("hunter2"))).unwrap();
        assert_eq!(filled.expose(), "Bearer abchunter2");
        assert_eq!(text.fill(&|_| None), Err("T".to_owned()));
        assert!(!format!("{text:?} {filled:?}").contains("abc"));
    }
}
