//! What is watched, and under which name.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Owner, Role};

/// What is watched: whatever a rule of `include` matches and none of `exclude`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// What to watch; the first rule that matches may name the service [default: every voice
    /// flow, and TCP connections that came by a listener]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<Rule>>,
    /// What not to watch, whatever `include` says [default: nothing]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Rule>,
}

/// Conditions on a socket and on the process that has it. All that are given must hold;
/// patterns are globs, in which `*` stops at a `/` and `**` does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// `voice` or `tcp`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// Of TCP: `server` for connections that came by a listener, `client` for those that
    /// the process made; of one that is older than the observer it may not be known
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<RuleRole>,
    /// Port or ports, such as `443` or `5060-5080`: the near end's, or, of a connection
    /// that the process made itself, the far end's
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Ports>,
    /// Glob of the executable's path, such as `/usr/sbin/asterisk`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// Glob of the process' name, as `ps -o comm` shows it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// Glob of the systemd unit, such as `nginx.service`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Glob of the cgroup's path, such as `/system.slice/**`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// Glob of the container's identifier, such as `3f2a9c*`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Glob of the unique identifier of the Kubernetes pod
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Globs of labels of the container or its Kubernetes pod, by name, such as
    /// `{app: chat, io.kubernetes.pod.namespace: prod-*}`, as far as its runtime shows them:
    /// Docker and CRI-O all, containerd names and namespace of pods, Podman annotations
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `service.name` of what matches [default: what the process' environment, unit,
    /// container or name say]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// RTP over UDP.
    Voice,
    /// TCP.
    Tcp,
}

/// Which end of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleRole {
    /// It connected.
    Client,
    /// It accepted.
    Server,
}

/// A port, or ports from one to another.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "PortsForm")]
pub struct Ports(RangeInclusive<u16>);

/// A port as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum PortsForm {
    One(u16),
    Range(String),
}

/// What is no port.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no port from 1 to 65535, and no range of ports such as 5060-5080")]
pub struct PortsError(String);

/// What is wrong with a rule.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// A pattern is none.
    #[error("`{key}: {pattern}` is no glob: {reason}")]
    Glob {
        /// Of this condition.
        key: &'static str,
        /// As it was given.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// It matches everything.
    #[error("a rule of `exclude` without a condition would leave nothing to watch")]
    Empty,
    /// It names a service that will not be watched.
    #[error("`service: {0}` stands in a rule of `exclude`, where nothing gets a name")]
    Named(String),
    /// A name that is no name.
    #[error("`service:` is empty, longer than 128 characters or has control characters")]
    Name,
    /// It can never match.
    #[error("`role` is of TCP connections, and the rule is about voice")]
    Role,
}

/// A socket, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What it carries.
    pub traffic: Traffic,
    /// Which end it is.
    pub role: Role,
    /// Port of the near end.
    pub local_port: Option<u16>,
    /// Port of the far end.
    pub remote_port: Option<u16>,
    /// Who has it.
    pub owner: Option<&'a Owner>,
}

/// Rules, ready to be asked.
#[derive(Clone, Debug)]
pub struct Selection {
    include: Vec<Matcher>,
    exclude: Vec<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    rule: Rule,
    globs: Vec<(Field, GlobMatcher)>,
    labels: Vec<(String, GlobMatcher)>,
}

/// A text of the owner.
type Field = fn(&Owner) -> Option<&str>;

impl Targets {
    /// Makes the rules ready.
    ///
    /// # Errors
    /// [`RuleError`] for the first rule that can be nothing but a mistake.
    pub fn select(&self) -> Result<Selection, RuleError> {
        let include = match &self.include {
            Some(rules) => rules.iter().map(Matcher::new).collect::<Result<_, _>>()?,
            None => Self::usual().iter().map(Matcher::new).collect::<Result<_, _>>()?,
        };
        for rule in &self.exclude {
            if let Some(name) = &rule.service {
                return Err(RuleError::Named(name.clone()));
            }
            if *rule == Rule::default() {
                return Err(RuleError::Empty);
            }
        }
        let exclude = self.exclude.iter().map(Matcher::new).collect::<Result<_, _>>()?;
        Ok(Selection { include, exclude })
    }

    /// What is watched when nothing is said.
    fn usual() -> [Rule; 2] {
        let of = |traffic, role| Rule { traffic: Some(traffic), role, ..Rule::default() };
        [of(Traffic::Voice, None), of(Traffic::Tcp, Some(RuleRole::Server))]
    }
}

impl Selection {
    /// Whether a socket is watched; and if it is, the name that a rule gives its service.
    #[must_use]
    pub fn decide(&self, subject: &Subject<'_>) -> Option<Option<&str>> {
        let included = self.include.iter().find(|matcher| matcher.matches(subject))?;
        let is_excluded = self.exclude.iter().any(|matcher| matcher.matches(subject));
        (!is_excluded).then_some(included.rule.service.as_deref())
    }

    /// Whether a rule asks for labels.
    #[must_use]
    pub fn asks_for_labels(&self) -> bool {
        self.include.iter().chain(&self.exclude).any(|matcher| !matcher.labels.is_empty())
    }
}

impl Matcher {
    fn new(rule: &Rule) -> Result<Self, RuleError> {
        if rule.role.is_some() && rule.traffic == Some(Traffic::Voice) {
            return Err(RuleError::Role);
        }
        let is_name = |name: &String| {
            !name.trim().is_empty() && name.len() <= 128 && !name.contains(char::is_control)
        };
        if rule.service.as_ref().is_some_and(|name| !is_name(name)) {
            return Err(RuleError::Name);
        }
        let conditions: [(&'static str, &Option<String>, Field); 6] = [
            ("executable", &rule.executable, |owner| owner.executable.as_ref()?.to_str()),
            ("comm", &rule.comm, |owner| Some(&owner.comm)),
            ("unit", &rule.unit, |owner| owner.place.unit.as_deref()),
            ("cgroup", &rule.cgroup, |owner| Some(&owner.place.cgroup)),
            ("container", &rule.container, |owner| {
                owner.place.container.as_ref().map(|container| container.id.as_str())
            }),
            ("pod_uid", &rule.pod_uid, |owner| owner.place.pod_uid.as_deref()),
        ];
        let globs = conditions
            .into_iter()
            .filter_map(|(key, pattern, field)| Some((key, pattern.as_deref()?, field)))
            .map(|(key, pattern, field)| Ok((field, glob(key, pattern)?)))
            .collect::<Result<_, _>>()?;
        let labels = rule.labels.iter();
        let labels = labels
            .map(|(name, pattern)| Ok((name.clone(), glob("labels", pattern)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { rule: rule.clone(), globs, labels })
    }

    fn matches(&self, subject: &Subject<'_>) -> bool {
        let Rule { traffic, role, port, .. } = &self.rule;
        let is_of_role = |role: RuleRole| match role {
            RuleRole::Client => subject.role == Role::Client,
            RuleRole::Server => subject.role == Role::Server,
        };
        let asked = match subject.role {
            Role::Client => subject.remote_port,
            Role::Server | Role::Unknown => subject.local_port,
        };
        traffic.is_none_or(|traffic| traffic == subject.traffic)
            && role.is_none_or(|role| subject.traffic == Traffic::Tcp && is_of_role(role))
            && port.as_ref().is_none_or(|ports| asked.is_some_and(|port| ports.0.contains(&port)))
            && self.globs.iter().all(|(field, glob)| {
                subject.owner.and_then(field).is_some_and(|text| glob.is_match(text))
            })
            && self.labels.iter().all(|(name, glob)| {
                let label = subject.owner.and_then(|owner| owner.labels.get(name));
                label.is_some_and(|value| glob.is_match(value))
            })
    }
}

fn glob(key: &'static str, pattern: &str) -> Result<GlobMatcher, RuleError> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| RuleError::Glob {
        key,
        pattern: pattern.to_owned(),
        reason: error.kind().to_string(),
    })
}

impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Self, PortsError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse().ok().filter(|port| *port != 0);
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self(first..=last)),
            _ => Err(PortsError(text.to_owned())),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last {
            write!(formatter, "{first}")
        } else {
            write!(formatter, "{first}-{last}")
        }
    }
}

impl Serialize for Ports {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = if self.0.start() == self.0.end() {
            PortsForm::One(*self.0.start())
        } else {
            PortsForm::Range(self.to_string())
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Ports;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a port, or ports such as 5060-5080")
            }

            fn visit_u64<E: serde::de::Error>(self, port: u64) -> Result<Ports, E> {
                self.visit_str(&port.to_string())
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ports, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests;
