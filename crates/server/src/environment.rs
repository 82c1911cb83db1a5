//! The process's environment, read once; everything else is handed this map.

use std::collections::BTreeMap;

use bailiwick_model::{AgentId, AgentType};

use crate::exit::{Exit, Failure};

/// Variables whose name and value are UTF-8, sorted. Others cannot be meant for us and are left out.
pub(crate) type Environment = BTreeMap<String, String>;

/// Reads the process's environment.
pub(crate) fn read() -> Environment {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// Who the agent on stdio is, from `AGENT_ID` and `AGENT_TYPE` (reference, tool modules section 2).
///
/// Values are trimmed; an empty one counts as not set; all mistakes are reported together.
///
/// # Errors
/// [`Exit::Usage`] naming each variable and its rule, never the value.
pub(crate) fn identity(environment: &Environment) -> Result<(AgentId, AgentType), Failure> {
    let value = |name: &'static str| environment.get(name).map(|text| text.trim()).filter(|text| !text.is_empty()).ok_or(name);
    let (id, kind) = (value("AGENT_ID"), value("AGENT_TYPE"));
    let missing: Vec<&str> = [id.err(), kind.err()].into_iter().flatten().collect();
    if !missing.is_empty() {
        let text = format!("Required environment variable(s) not set: {}", missing.join(", "));
        return Err(Failure::new(Exit::Usage, text)
            .hint("set them where the MCP client starts `bailiwick run`, for example `AGENT_ID=research-01 AGENT_TYPE=research`"));
    }
    let id = AgentId::parse(id.unwrap_or_default());
    let kind = AgentType::parse(kind.unwrap_or_default());
    match (id, kind) {
        (Ok(id), Ok(kind)) => Ok((id, kind)),
        (id, kind) => {
            let wrong = [("AGENT_ID", id.err()), ("AGENT_TYPE", kind.err())];
            let lines = wrong.into_iter().filter_map(|(name, fault)| Some(format!("`{name}` is {}", fault?)));
            Err(Failure::new(Exit::Usage, lines.collect::<Vec<_>>().join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<(String, String), String> {
        let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        identity(&environment).map(|(id, kind)| (id.to_string(), kind.to_string())).map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn trims_and_reports_all_that_is_missing_or_wrong() {
        assert_eq!(with(&[("AGENT_ID", " build-01\n"), ("AGENT_TYPE", "build_agent")]), Ok(("build-01".into(), "build_agent".into())));
        assert_eq!(with(&[]), Err("Required environment variable(s) not set: AGENT_ID, AGENT_TYPE".into()));
        assert_eq!(with(&[("AGENT_ID", "a"), ("AGENT_TYPE", " ")]), Err("Required environment variable(s) not set: AGENT_TYPE".into()));
        let rule = "lower-case letters, digits and `-`, beginning with a letter or digit, at most 63 characters";
        assert_eq!(with(&[("AGENT_ID", "../x"), ("AGENT_TYPE", "ok")]), Err(format!("`AGENT_ID` is not a valid agent id: {rule}")));
        let both = with(&[("AGENT_ID", "Upper"), ("AGENT_TYPE", "-lead")]).unwrap_err();
        assert!(both.contains("`AGENT_ID` is") && both.contains("; `AGENT_TYPE` is"), "{both}");
        for bad in ["a_b", "a.b", "-a", "a b", &"a".repeat(64)] {
            assert!(with(&[("AGENT_ID", bad), ("AGENT_TYPE", "ok")]).is_err(), "{bad}");
        }
    }
}
