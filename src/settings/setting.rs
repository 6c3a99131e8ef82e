//! What a setting is.

/// What every environment variable of a setting begins with.
pub const PREFIX: &str = "K8S_DIND_";

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its dotted name: the keys in the configuration file that lead to it.
    pub name: &'static str,
    /// The name of its flag, without the dashes before it.
    pub flag: &'static str,
    /// The variable that means the same in `kubeadm-dind-cluster`.
    pub old_variable: Option<&'static str>,
    /// What can be given.
    pub kind: Kind,
    /// Whether nothing (an empty text) can be given.
    pub optional: bool,
    /// Where flag and variable say the opposite of the setting, as `--no-merge` does: their text.
    pub negated: Option<&'static str>,
    /// Whether the flag is one of all subcommands.
    pub global: bool,
    /// What it is for: a sentence without its full stop.
    pub doc: &'static str,
    /// Whether it does something yet.
    pub availability: Availability,
}

/// The form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Number(u64, u64),
    /// One of some numbers.
    OneOf(&'static [u64]),
    /// An IPv4 range in CIDR notation, with the shortest and the longest prefix.
    Subnet(u8, u8),
    /// An IPv4 address.
    Address,
    /// The name of a cluster.
    Label,
    /// A version of Kubernetes, or words for one.
    Version,
    /// An `http` or `https` URL.
    Url,
    /// A registry's host with an optional port and path; `http://` before it says that it is plain.
    Registry,
    /// What the Go tools take as `GOPROXY`.
    GoProxy,
    /// Where the node image's root file system comes from.
    Base,
    /// A digest in so many hexadecimal digits.
    Digest(usize),
    /// A path.
    Path,
    /// Text that is not looked into.
    Text,
    /// One of some words.
    Choice(&'static [Choice]),
    /// Any number of some words, with commas between them.
    List(&'static [&'static str]),
}

/// A word that a setting can be.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// The word.
    pub word: &'static str,
    /// Why it cannot be had yet.
    pub later: Option<&'static str>,
}

/// Whether a setting does something yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It does what its text says.
    Works,
    /// It is known, and refused for as long as its work is not there.
    Later {
        /// Why it is refused.
        reason: &'static str,
        /// The one value that says what is so today anyway, and thus can be given.
        today: &'static str,
    },
}

impl Setting {
    pub(super) const fn new(
        name: &'static str,
        flag: &'static str,
        kind: Kind,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            flag,
            old_variable: None,
            kind,
            optional: false,
            negated: None,
            global: false,
            doc,
            availability: Availability::Works,
        }
    }

    pub(super) const fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    pub(super) const fn negated(self, doc: &'static str) -> Self {
        Self {
            negated: Some(doc),
            ..self
        }
    }

    pub(super) const fn global(self) -> Self {
        Self {
            global: true,
            ..self
        }
    }

    pub(super) const fn old(self, variable: &'static str) -> Self {
        Self {
            old_variable: Some(variable),
            ..self
        }
    }

    pub(super) const fn later(self, reason: &'static str, today: &'static str) -> Self {
        Self {
            availability: Availability::Later { reason, today },
            ..self
        }
    }

    /// The environment variable: `K8S_DIND_` and the flag's name.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.flag.to_uppercase().replace('-', "_"))
    }

    /// The section in the configuration file, empty for the top.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// Whether it does something yet.
    pub fn works(&self) -> bool {
        self.availability == Availability::Works
    }
}

/// A word that can be had.
pub(super) const fn works(word: &'static str) -> Choice {
    Choice { word, later: None }
}

/// A word that cannot be had yet.
pub(super) const fn later(word: &'static str, reason: &'static str) -> Choice {
    Choice {
        word,
        later: Some(reason),
    }
}
