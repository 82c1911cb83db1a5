//! What is measured: a kind of request, a number of connections, an era.

use std::fmt;

use bailiwick_testkit::client::Era;

use crate::Outcome;

/// Connections of one cell.
const CONNECTIONS_MAX: usize = 1024;

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The request.
    pub(crate) what: What,
    /// So many requests are under way at any time.
    pub(crate) connections: usize,
    /// What the client speaks.
    pub(crate) era: Era,
}

/// The request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A call of a tool that changes nothing, as a trusted server says.
    Read,
    /// A call of a tool of which nothing is known.
    Effects,
    /// The whole list of tools.
    List,
    /// A read whose result is 1 MiB.
    Big,
}

/// Text of a [`What::Big`] result.
pub(crate) const BIG_BYTES: usize = 1 << 20;

impl Cell {
    /// What is measured when nothing is said.
    pub(crate) fn standard() -> Vec<Self> {
        let both = |what, connections| [Era::LEGACY, Era::Modern].map(|era| Self { what, connections, era });
        [both(What::Read, 1), both(What::Read, 16), both(What::Effects, 16), both(What::List, 1), both(What::Big, 1)].concat()
    }

    /// `WHAT[:CONNECTIONS][@ERA]`; one connection and the `initialize` era when nothing is said.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let wrong = || format!("cell {text:?}: expected read, effects, list or big, then :CONNECTIONS, then @modern or @init");
        let (rest, era) = match text.split_once('@') {
            None => (text, Era::LEGACY),
            Some((rest, "init")) => (rest, Era::LEGACY),
            Some((rest, "modern")) => (rest, Era::Modern),
            Some(_) => return Err(wrong()),
        };
        let (what, connections) = match rest.split_once(':') {
            None => (rest, 1),
            Some((what, number)) => (what, number.parse().map_err(|_| wrong())?),
        };
        let what = [What::Read, What::Effects, What::List, What::Big].into_iter().find(|w| w.word() == what).ok_or_else(wrong)?;
        if !(1..=CONNECTIONS_MAX).contains(&connections) {
            return Err(format!("cell {text:?}: 1 to {CONNECTIONS_MAX} connections"));
        }
        Ok(Self { what, connections, era })
    }
}

impl What {
    const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Effects => "effects",
            Self::List => "list",
            Self::Big => "big",
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let era = if self.era == Era::Modern { "modern" } else { "init" };
        write!(f, "{}:{}@{era}", self.what.word(), self.connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_read_as_they_print() {
        for cell in Cell::standard() {
            assert_eq!(Cell::parse(&cell.to_string()), Ok(cell));
        }
        assert_eq!(Cell::parse("list").unwrap().to_string(), "list:1@init");
        for wrong in ["", "write", "read:0", "read:x", "read:2000", "read@new", "read:1:1"] {
            assert!(Cell::parse(wrong).is_err(), "{wrong}");
        }
    }
}
