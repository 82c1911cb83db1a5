//! Times and spans as people write them.

use std::time::Duration;

use bailiwick_model::Timestamp;

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// So long from now.
    For(Duration),
    /// Without end.
    Never,
}

impl Lifetime {
    /// The instant at which it ends.
    pub(crate) fn end(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::For(span) => Some(now.after(span)),
            Self::Never => None,
        }
    }
}

/// Where a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// At this instant.
    At(Timestamp),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    /// The instant that is meant.
    pub(crate) fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(instant) => instant,
            Self::Ago(span) => {
                let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
                Timestamp::from_micros(now.as_micros().saturating_sub(micros).max(0))
            }
        }
    }
}

/// Reads `90d`, `12h`, `30m`, `45s`, `never`.
pub(super) fn lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "never" { Ok(Lifetime::Never) } else { span(text).map(Lifetime::For) }
}

/// Reads `1h`, `7d`, or `0`.
pub(super) fn overlap(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { span(text) }
}

/// Reads a span into the past, or an instant.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(Since::At(Timestamp::from_micros(instant.as_microsecond())));
    }
    span(text).map(Since::Ago)
}

fn span(text: &str) -> Result<Duration, String> {
    const RULE: &str = "write a whole number and a unit: `45s`, `30m`, `12h`, `90d`";
    // A hundred years: more is a slip of the finger.
    const SECONDS_MAX: u64 = 100 * 366 * 86_400;
    let unit = text.chars().last().ok_or(RULE)?;
    let scale = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(RULE.to_owned()),
    };
    let number = text.strip_suffix(unit).and_then(|digits| digits.parse::<u64>().ok()).ok_or(RULE)?;
    let seconds = number.checked_mul(scale).filter(|seconds| *seconds <= SECONDS_MAX).ok_or("at most 100 years")?;
    if seconds == 0 { Err("must be longer than nothing".to_owned()) } else { Ok(Duration::from_secs(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_instants() {
        assert_eq!(lifetime("90d"), Ok(Lifetime::For(Duration::from_secs(90 * 86_400))));
        assert_eq!(lifetime("never"), Ok(Lifetime::Never));
        for bad in ["", "d", "90", "-1d", "1w", "0s", "99999999999999999999d", "40000d", "1é"] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
        assert_eq!(since("1970-01-01T00:00:02Z"), Ok(Since::At(Timestamp::from_micros(2_000_000))));
        assert_eq!(since("1h").unwrap().instant(Timestamp::from_micros(3_600_000_007)), Timestamp::from_micros(7));
        assert_eq!(since("1h").unwrap().instant(Timestamp::from_micros(5)), Timestamp::from_micros(0));
    }
}
