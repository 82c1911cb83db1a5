//! Calls per time (`rate_limits`).

use crate::glob::Glob;
use crate::rate::Rate;
use crate::reader::Field;
use crate::shape::{Choice, Key, Section, Shape, formats};

const RATE: Shape = Shape::Format(&formats::RATE);

pub(super) static RATE_LIMITS: Section = Section {
    path: "rate_limits",
    doc: "Calls per time, written `<N>/second`, `<N>/minute` or `<N>/hour`.",
    keys: &[
        Key::new("global", RATE, "Over all tools together."),
        Key::new(
            "per_tool",
            Shape::Entries { names: &formats::TOOL_GLOB, value: &RATE, empty: false },
            "Glob over served tool names -> rate. The first glob that matches counts; tools that match one glob share one counter.",
        ),
    ],
    needs: &[],
    choice: Choice::Free,
};

/// Limits of one agent.
#[derive(Clone, Debug, Default)]
pub struct RateLimits {
    /// Over all tools.
    pub global: Option<Rate>,
    /// First matching glob wins; tools matching one glob share one counter.
    pub per_tool: Vec<(Glob, Rate)>,
}

pub(super) fn read(field: &Field<'_>) -> Option<RateLimits> {
    let table = field.table()?;
    let limits = RateLimits { global: table.read("global", rate), per_tool: table.read("per_tool", per_tool).unwrap_or_default() };
    table.finish();
    Some(limits)
}

fn rate(field: &Field<'_>) -> Option<Rate> {
    let rate = Rate::parse(field.text()?).map_err(|rule| field.error(rule)).ok()?;
    if rate.calls == 0 {
        field.warning(
            format!("`{rate}` lets no call through"),
            "write at least 1, or say under `policy.deny` which tools are not for the agent",
        );
    }
    Some(rate)
}

fn per_tool(field: &Field<'_>) -> Option<Vec<(Glob, Rate)>> {
    let mut limits = Vec::new();
    for (entry, field) in field.entries()? {
        let glob = Glob::parse(&entry.key);
        if let Err(rule) = &glob {
            field.report().error(entry.key_place, &field.path, *rule);
        }
        if let (Ok(glob), Some(rate)) = (glob, rate(&field)) {
            limits.push((glob, rate));
        }
    }
    Some(limits)
}
