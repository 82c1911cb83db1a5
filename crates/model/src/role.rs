//! What a member of an organisation may do (reference, governance section 1.2).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;

/// The roles, the lowest first. A text that is none of them never becomes one, so a misspelt role grants nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads what the organisation gives its agents; has runs and gives feedback.
    Member,
    /// Also writes for the groups that it administers.
    GroupAdmin,
    /// Also administers the organisation and every group of it.
    OrgAdmin,
}

impl Role {
    /// Every role, the lowest first.
    pub const ALL: [Self; 3] = [Self::Member, Self::GroupAdmin, Self::OrgAdmin];

    /// The word in rows, tokens and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::GroupAdmin => "group_admin",
            Self::OrgAdmin => "org_admin",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// [`InvalidId`] for any other text, upper case included.
    pub fn parse(word: &str) -> Result<Self, InvalidId> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == word);
        found.ok_or(InvalidId::new("role", "`member`, `group_admin` or `org_admin`"))
    }

    /// Whether this role includes `required`.
    #[must_use]
    pub fn at_least(self, required: Self) -> bool {
        self >= required
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What somebody is inside one organisation at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// His role; `None`: no member, so nothing is allowed.
    pub role: Option<Role>,
    /// His groups, and what he is in each.
    pub groups: Vec<(crate::GroupId, Role)>,
}

impl Standing {
    /// Whether the role includes `required`.
    #[must_use]
    pub fn is(&self, required: Role) -> bool {
        self.role.is_some_and(|role| role.at_least(required))
    }

    /// Whether it may administer `group`: an administrator of the organisation always may.
    #[must_use]
    pub fn administers(&self, group: &crate::GroupId) -> bool {
        let of_group = self.groups.iter().any(|(own, role)| own == group && role.at_least(Role::GroupAdmin));
        self.is(Role::OrgAdmin) || self.role.is_some() && of_group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GroupId;

    #[test]
    fn roles_are_ordered_and_unknown_words_are_none() {
        use Role::{GroupAdmin, Member, OrgAdmin};
        assert!(OrgAdmin.at_least(GroupAdmin) && GroupAdmin.at_least(Member) && !Member.at_least(GroupAdmin));
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Ok(role));
        }
        for word in ["", "org-admin", "ORG_ADMIN", "admin", "org_admin ", "platform_admin"] {
            assert!(Role::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn administrators_of_the_organisation_administer_every_group() {
        let group = |name: &str| GroupId::parse(name).unwrap();
        let standing = |role, groups: &[(&str, Role)]| Standing { role, groups: groups.iter().map(|(g, r)| (group(g), *r)).collect() };
        assert!(standing(Some(Role::OrgAdmin), &[]).administers(&group("a")));
        let of_a = standing(Some(Role::Member), &[("a", Role::GroupAdmin), ("b", Role::Member)]);
        assert!(of_a.administers(&group("a")) && !of_a.administers(&group("b")) && !of_a.is(Role::GroupAdmin));
        assert!(!standing(None, &[("a", Role::GroupAdmin)]).administers(&group("a")), "nobody without membership");
    }
}
