//! Calls per time, written `<N>/second`, `<N>/minute` or `<N>/hour`.

use std::fmt;
use std::time::Duration;

/// Largest N.
pub const RATE_CALLS_MAX: u32 = 1_000_000;

/// At most `calls` within any stretch of `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// 0 (nothing passes) to [`RATE_CALLS_MAX`].
    pub calls: u32,
    /// A second, a minute or an hour.
    pub window: Duration,
}

const UNITS: [(&str, u64); 3] = [("second", 1), ("minute", 60), ("hour", 3600)];

impl Rate {
    /// Reads the written form.
    ///
    /// # Errors
    /// The rule, when the text is anything else.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "a rate is written `<N>/second`, `<N>/minute` or `<N>/hour`, N at most 1000000";
        let (calls, unit) = text.split_once('/').ok_or(RULE)?;
        if calls.is_empty() || !calls.bytes().all(|b| b.is_ascii_digit()) {
            return Err(RULE);
        }
        let calls: u32 = calls.parse().ok().filter(|n| *n <= RATE_CALLS_MAX).ok_or(RULE)?;
        let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds).ok_or(RULE)?;
        Ok(Self { calls, window: Duration::from_secs(seconds) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| *seconds == self.window.as_secs()).map_or("window", |(name, _)| *name);
        write!(f, "{}/{unit}", self.calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_form() {
        for text in ["100/minute", "1/second", "0/hour", "1000000/hour"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Rate::parse("60/minute").unwrap(), Rate { calls: 60, window: Duration::from_secs(60) });
        for text in [
            "",
            "/",
            "100",
            "100/",
            "/minute",
            "+1/minute",
            "-1/minute",
            "1.5/hour",
            "1/day",
            "1/Minute",
            " 1/hour",
            "1/hour ",
            "1000001/hour",
            "99999999999/hour",
        ] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }
}
