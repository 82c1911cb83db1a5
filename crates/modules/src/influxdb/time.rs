//! Moments as agents write them, and what they are on the clock.

use std::fmt;

use bailiwick_model::Timestamp as Now;
use jiff::tz::TimeZone;
use jiff::{Span as CalendarSpan, Timestamp};

use crate::fault::ToolFault;

/// Longest text of a moment, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 128;
/// Units, largest first; calendar months or nanoseconds.
const UNITS: [(&str, Size); 10] = [
    ("y", Size::Months(12)),
    ("mo", Size::Months(1)),
    ("w", Size::Nanos(7 * 86_400_000_000_000)),
    ("d", Size::Nanos(86_400_000_000_000)),
    ("h", Size::Nanos(3_600_000_000_000)),
    ("m", Size::Nanos(60_000_000_000)),
    ("s", Size::Nanos(1_000_000_000)),
    ("ms", Size::Nanos(1_000_000)),
    ("us", Size::Nanos(1_000)),
    ("ns", Size::Nanos(1)),
];

#[derive(Clone, Copy)]
enum Size {
    Months(i64),
    Nanos(i64),
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Moment {
    Now,
    At(Timestamp),
    Relative(Duration),
}

/// A signed length of time; `Display` gives it as a Flux literal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Duration {
    negative: bool,
    /// Place in [`UNITS`] and how many, larger units first, each at most once.
    parts: Vec<(usize, i64)>,
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        self.parts.iter().try_for_each(|(unit, count)| write!(f, "{count}{}", UNITS[*unit].0))
    }
}

impl Moment {
    /// Reads the whole of `text`.
    ///
    /// # Errors
    /// `invalid_argument` about the argument `name`.
    pub(super) fn read(name: &str, text: &str) -> Result<Self, ToolFault> {
        let read = match text {
            "now()" => Some(Self::Now),
            _ if text.len() > TEXT_BYTES_MAX => None,
            _ => rfc3339(text).map(Self::At).or_else(|| duration(text).map(Self::Relative)),
        };
        read.ok_or_else(|| {
            let remedy =
                "write `now()`, RFC 3339 with zone such as `2026-07-28T09:30:00Z`, or a duration such as `-1h30m`, larger units first";
            ToolFault::invalid(format!("`{name}` is not a time"), remedy)
        })
    }

    /// The moment on the clock.
    fn on_clock(&self, name: &str, now: Now) -> Result<Timestamp, ToolFault> {
        let now = Timestamp::from_microsecond(now.as_micros()).map_err(|cause| ToolFault::internal(cause.to_string()))?;
        let found = match self {
            Self::Now => Some(now),
            Self::At(at) => Some(*at),
            Self::Relative(span) => span.from(now),
        };
        let storable = found.filter(|at| i64::try_from(at.as_nanosecond()).is_ok());
        storable.ok_or_else(|| ToolFault::invalid(format!("`{name}` lies outside the years 1678 to 2262"), "choose a nearer time"))
    }
}

impl Duration {
    /// Months first, then the rest, as Flux adds them; a day beyond the end of a month becomes its last day.
    fn from(&self, start: Timestamp) -> Option<Timestamp> {
        let (mut months, mut nanos) = (0_i64, 0_i128);
        for (unit, count) in &self.parts {
            match UNITS[*unit].1 {
                Size::Months(each) => months = months.checked_add(each.checked_mul(*count)?)?,
                Size::Nanos(each) => nanos = nanos.checked_add(i128::from(each) * i128::from(*count))?,
            }
        }
        if self.negative {
            (months, nanos) = (-months, -nanos);
        }
        let months = CalendarSpan::new().try_months(months).ok()?;
        let shifted = start.to_zoned(TimeZone::UTC).checked_add(months).ok()?.timestamp();
        Timestamp::from_nanosecond(shifted.as_nanosecond().checked_add(nanos)?).ok()
    }
}

/// `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)` and nothing else: the reader beneath knows more forms.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let (whole, rest) = text.split_at_checked(19)?;
    let shape = |text: &str, pattern: &str| {
        text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(|(b, p)| if p == b'0' { b.is_ascii_digit() } else { b == p })
    };
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            rest.get(digits..).filter(|_| (1..=9).contains(&digits))?
        }
    };
    let sound = shape(whole, "0000-00-00T00:00:00") && (zone == "Z" || shape(zone, "+00:00") || shape(zone, "-00:00"));
    if sound { text.parse().ok() } else { None }
}

fn duration(text: &str) -> Option<Duration> {
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut parts: Vec<(usize, i64)> = Vec::new();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = if unit == "µs" { "us" } else { unit };
        let unit = UNITS.iter().position(|(name, _)| *name == unit)?;
        if parts.last().is_some_and(|(last, _)| *last >= unit) {
            return None;
        }
        parts.push((unit, count.parse().ok()?));
        rest = tail;
    }
    (!parts.is_empty()).then_some(Duration { negative, parts })
}

/// Two moments, the first before the second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) start: Moment,
    pub(super) stop: Moment,
    names: (&'static str, &'static str),
}

impl Range {
    /// Reads both ends; `names` are those of the arguments. Which comes first is known once there is a clock: see [`Range::on_clock`].
    pub(super) fn read(names: (&'static str, &'static str), start: &str, stop: &str) -> Result<Self, ToolFault> {
        Ok(Self { start: Moment::read(names.0, start)?, stop: Moment::read(names.1, stop)?, names })
    }

    /// Both ends at `now`.
    ///
    /// # Errors
    /// `invalid_argument` when the range is empty or beyond what can be stored.
    pub(super) fn on_clock(&self, now: Now) -> Result<(Timestamp, Timestamp), ToolFault> {
        let (start, stop) = (self.start.on_clock(self.names.0, now)?, self.stop.on_clock(self.names.1, now)?);
        if start < stop {
            return Ok((start, stop));
        }
        let (first, second) = self.names;
        Err(ToolFault::invalid(format!("`{first}` is not before `{second}`"), format!("let `{first}` be earlier than `{second}`")))
    }
}
