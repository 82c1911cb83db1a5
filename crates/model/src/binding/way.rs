//! The way to an argument: its name, or the names of the objects around it in front.

use std::fmt;

/// Most names on one way.
pub const WAY_STEPS_MAX: usize = 8;
const STEP_BYTES_MAX: usize = 128;

/// Names from the outside in; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way(Vec<Box<str>>);

impl Way {
    /// Reads `project` or `filter/owner`, in which `~1` stands for a slash and `~0` for a tilde.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let steps = text.split('/').map(step).collect::<Result<Vec<_>, _>>()?;
        if steps.len() > WAY_STEPS_MAX {
            return Err("the way to an argument has at most 8 names");
        }
        Ok(Self(steps))
    }

    /// The names.
    #[must_use]
    pub fn steps(&self) -> &[Box<str>] {
        &self.0
    }

    /// Whether one is the other or leads into it.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, two)| one == two)
    }
}

fn step(text: &str) -> Result<Box<str>, &'static str> {
    if text.is_empty() {
        return Err("a name on the way to an argument is empty; write `argument` or `argument/member`");
    }
    if text.len() > STEP_BYTES_MAX {
        return Err("a name on the way to an argument has at most 128 bytes");
    }
    if text.contains(char::is_control) {
        return Err("the name of an argument has no control characters");
    }
    let bare = text.replace("~0", "").replace("~1", "");
    if bare.contains('~') {
        return Err("`~` stands alone; write `~0` for the character itself and `~1` for a slash");
    }
    // In this order, so that `~01` is `~1`.
    Ok(text.replace("~1", "/").replace("~0", "~").into())
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("/")?;
            }
            f.write_str(&step.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways() {
        let steps = |text: &str| Way::parse(text).map(|way| way.steps().iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(steps("filter/owner"), Ok(vec!["filter".into(), "owner".into()]));
        assert_eq!(steps("a~1b/~0/~01"), Ok(vec!["a/b".into(), "~".into(), "~1".into()]));
        for good in ["a", "a~1b/~0/~01", "a b/ä"] {
            assert_eq!(Way::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "/", "/a", "a/", "a//b", "~", "a~2", "a\u{0}", "1/2/3/4/5/6/7/8/9"] {
            assert!(Way::parse(bad).is_err(), "{bad}");
        }
        let overlaps = |one: &str, two: &str| Way::parse(one).unwrap().overlaps(&Way::parse(two).unwrap());
        assert!(overlaps("a", "a/b") && overlaps("a/b", "a") && overlaps("a", "a") && !overlaps("a/b", "a/c") && !overlaps("a", "ab"));
    }
}
