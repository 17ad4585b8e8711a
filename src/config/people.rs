//! Who is meant: `"max:401041669"`, `"phone:+79990000000"`, `"group:admins"`; and `[groups]`.

use super::reader::ConfigMerger;
use super::value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One person, or a group of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// MAX's number of the account; where a driver's people are kept apart, with its name before it: `bot:7`.
    Max(String),
    /// E.164 with `+`.
    Phone(String),
    /// A key of `[groups]`.
    Group(String),
}

impl Who {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{text:?} is none of \"max:401041669\", \"bot:401041669\", \"mini_app:401041669\", \"phone:+79990000000\" and \"group:admins\""
            )
        };
        let digits = |text: &str, most: usize| {
            !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        match text.split_once(':') {
            Some(("max", id)) if digits(id, 19) && !id.starts_with('0') => Ok(Self::Max(id.to_owned())),
            Some((driver @ ("bot" | "mini_app"), id)) if digits(id, 19) && !id.starts_with('0') => {
                Ok(Self::Max(format!("{driver}:{id}")))
            }
            Some(("phone", phone)) if phone.strip_prefix('+').is_some_and(|rest| digits(rest, 15)) => {
                Ok(Self::Phone(phone.to_owned()))
            }
            Some(("group", name)) if is_group_name(name) => Ok(Self::Group(name.to_owned())),
            _ => Err(expected()),
        }
    }
}

fn is_group_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// `[groups]`: who belongs to which.
#[derive(Clone, Default, Debug)]
pub struct Groups(Arc<BTreeMap<String, Vec<Who>>>);

impl Groups {
    pub(super) fn read(settings: &mut ConfigMerger) -> Option<Self> {
        let mut groups = BTreeMap::new();
        let mut fine = true;
        for path in settings.section("groups") {
            let name = path.trim_start_matches("groups.").to_owned();
            let members = settings.read(&path, |value| {
                if !is_group_name(&name) {
                    return Err("is not a name such as admins: letters, digits, - _ .".to_owned());
                }
                value::list(value, |value| match Who::parse(&value::text(value)?)? {
                    Who::Group(_) => Err("a group has people as members, no groups".to_owned()),
                    person => Ok(person),
                })
            });
            match members {
                Some(members) => _ = groups.insert(name, members),
                None => fine = false,
            }
        }
        fine.then(|| Self(Arc::new(groups)))
    }

    /// The groups of a person, in the order of their names.
    pub fn of(&self, person: &Person<'_>) -> Vec<&str> {
        let has = |members: &[Who]| members.iter().any(|member| person.is(member));
        self.0.iter().filter(|(_, members)| has(members)).map(|(name, _)| name.as_str()).collect()
    }

    /// Whether anybody is named by a phone number.
    pub fn name_phones(&self) -> bool {
        self.0.values().flatten().any(|who| matches!(who, Who::Phone(_)))
    }

    fn contains(&self, group: &str, person: &Person<'_>) -> bool {
        self.0.get(group).is_some_and(|members| members.iter().any(|member| person.is(member)))
    }
}

/// What is known of somebody who signed in.
#[derive(Clone, Copy)]
pub struct Person<'a> {
    /// MAX's number of the account, as in `sub`.
    pub id: &'a str,
    /// E.164 with `+`, where it is known.
    pub phone: Option<&'a str>,
}

impl Person<'_> {
    fn is(&self, who: &Who) -> bool {
        match who {
            Who::Max(id) => id == self.id,
            Who::Phone(phone) => self.phone == Some(phone),
            Who::Group(_) => false,
        }
    }
}

/// Who may: everybody where nobody is named.
#[derive(Clone, Default, Debug)]
pub struct AllowList(Vec<Who>);

impl AllowList {
    /// Of a list of texts; `groups` must know the groups in it.
    pub fn parse(value: &toml::Value, groups: &Groups) -> Result<Self, String> {
        let allowed = value::list(value, |value| Who::parse(&value::text(value)?))?;
        for who in &allowed {
            if let Who::Group(name) = who
                && !groups.0.contains_key(name)
            {
                return Err(format!("there is no group {name:?} in [groups]"));
            }
        }
        Ok(Self(allowed))
    }

    /// Nobody is named.
    pub fn is_everybody(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anybody is named by a phone number.
    pub fn names_phones(&self) -> bool {
        self.0.iter().any(|who| matches!(who, Who::Phone(_)))
    }

    /// Whether this person may.
    pub fn permits(&self, person: &Person<'_>, groups: &Groups) -> bool {
        let is = |who: &Who| match who {
            Who::Group(name) => groups.contains(name, person),
            who => person.is(who),
        };
        self.is_everybody() || self.0.iter().any(is)
    }
}

#[cfg(test)]
mod tests;
