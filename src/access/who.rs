//! Of whom a rule speaks.
use super::Subject;
use ipnet::IpNet;
use std::collections::BTreeMap;
use wildmatch::WildMatch;

/// Conditions on the client; all that are there have to hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Who {
    pub user: Option<Names>,
    pub group: Option<Names>,
    pub client_id: Option<Names>,
    pub certificate: Option<Names>,
    pub address: Option<Vec<IpNet>>,
    pub claims: BTreeMap<String, Names>,
    /// True: only clients without a user; false: only those with one.
    pub anonymous: Option<bool>,
    /// Mosquitto's patterns are for nobody whose names have a wildcard in them.
    pub needs_plain_names: bool,
}

/// One name is enough.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Names(pub Vec<Name>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Name {
    Exact(String),
    /// With `*` and `?`.
    Glob(WildMatch),
}

impl Name {
    pub fn glob(text: &str) -> Self {
        if text.contains(['*', '?']) { Self::Glob(WildMatch::new(text)) } else { Self::Exact(text.to_owned()) }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Glob(glob) => glob.matches(name),
        }
    }
}

impl Names {
    pub fn exact(name: &str) -> Self {
        Self(vec![Name::Exact(name.to_owned())])
    }

    fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|one| one.matches(name))
    }
}

impl Who {
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        let (identity, attributes) = (subject.identity, subject.identity.attributes());
        let (user, client_id) = (identity.user.as_ref().map(|user| user.as_str()), subject.client_id.as_str());
        let holds = |names: &Option<Names>, name: Option<&str>| {
            names.as_ref().is_none_or(|names| name.is_some_and(|name| names.matches(name)))
        };
        let has_wildcard = |name: &str| name.contains(['+', '#']);
        holds(&self.user, user)
            && holds(&self.client_id, Some(client_id))
            && holds(&self.certificate, attributes.certificate.as_ref().map(|name| name.as_str()))
            && self.anonymous.is_none_or(|wanted| wanted == user.is_none())
            && self
                .group
                .as_ref()
                .is_none_or(|names| attributes.groups.iter().any(|group| names.matches(group.as_str())))
            && self.address.as_ref().is_none_or(|networks| {
                // An IPv4 client may come by an IPv6 socket.
                let address = identity.address.map(|address| address.to_canonical());
                address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
            })
            && self
                .claims
                .iter()
                .all(|(claim, names)| attributes.claims.get(claim).is_some_and(|value| names.matches(value)))
            && !(self.needs_plain_names && (user.is_some_and(has_wildcard) || has_wildcard(client_id)))
    }

    /// The users that the rule is for, if it names each of them.
    pub fn exact_users(&self) -> Option<Vec<&str>> {
        let names = &self.user.as_ref()?.0;
        let exact = names.iter().map(|name| match name {
            Name::Exact(name) => Some(name.as_str()),
            Name::Glob(_) => None,
        });
        exact.collect()
    }
}
