//! The flags of settings, made from the table of settings.

use std::collections::BTreeMap;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::UpArgs;
use crate::settings::reference;
use crate::settings::table::{Availability, Kind, SETTINGS, Setting};

/// Settings given as flags: each as the text that was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingFlags(BTreeMap<&'static str, String>);

/// Those flags of settings that every command has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GlobalFlags(pub SettingFlags);

/// The flags of `up` where no command is given: the same, but not listed in the help.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BareUp(pub UpArgs);

impl SettingFlags {
    /// The settings and their texts, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &str)> {
        SETTINGS
            .iter()
            .filter_map(|setting| Some((setting, self.0.get(setting.flag)?.as_str())))
    }

    /// Whether the setting of this dotted name is among them.
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|(setting, _)| setting.name == name)
    }

    /// Adds what is not given yet.
    pub(super) fn put_below(&mut self, other: &Self) {
        for (flag, text) in &other.0 {
            self.0.entry(flag).or_insert_with(|| text.clone());
        }
    }

    fn from_matches(matches: &ArgMatches, wanted: fn(&Setting) -> bool) -> Self {
        let given = SETTINGS
            .iter()
            .filter(|setting| wanted(setting))
            .filter_map(|setting| {
                let texts = matches.try_get_many::<String>(setting.flag).ok()??;
                Some((
                    setting.flag,
                    texts.map(String::as_str).collect::<Vec<_>>().join(","),
                ))
            });
        Self(given.collect())
    }
}

/// For tests, and for commands that are made by other commands.
impl FromIterator<(&'static str, String)> for SettingFlags {
    fn from_iter<T: IntoIterator<Item = (&'static str, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

fn is_global(setting: &Setting) -> bool {
    setting.global
}

fn is_local(setting: &Setting) -> bool {
    !setting.global
}

fn with_flags(command: Command, wanted: fn(&Setting) -> bool) -> Command {
    let defaults = reference::defaults();
    let wanted = SETTINGS.iter().filter(|setting| wanted(setting));
    command.args(wanted.map(|setting| flag(setting, defaults.get(setting.name))))
}

fn flag(setting: &'static Setting, default: Option<&String>) -> Arg {
    let arg = Arg::new(setting.flag)
        .long(setting.flag)
        .help(help(setting, default))
        .value_name(value_name(setting.kind))
        .hide(setting.availability != Availability::Works)
        .hide_possible_values(true)
        .help_heading(heading(setting))
        .global(setting.global)
        // A number below zero must come as far as the checks, which say what would be right.
        .allow_negative_numbers(true)
        .action(match setting.kind {
            Kind::List(_) => ArgAction::Append,
            _ => ArgAction::Set,
        });
    let arg = if setting.flag == "v" {
        arg.short('v')
    } else {
        arg
    };
    match setting.kind {
        Kind::Bool => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(Words {
                words: vec!["true", "false"],
            }),
        Kind::Choice(choices) => arg.value_parser(Words {
            words: choices
                .iter()
                .filter(|choice| choice.later.is_none())
                .map(|c| c.word)
                .collect(),
        }),
        Kind::List(words) => arg.value_parser(Words {
            words: words.to_vec(),
        }),
        Kind::Path => arg.value_hint(clap::ValueHint::DirPath),
        _ => arg,
    }
}

fn help(setting: &Setting, default: Option<&String>) -> String {
    let doc = setting.negated.unwrap_or(setting.doc);
    let words: Vec<&str> = match setting.kind {
        Kind::Choice(choices) => {
            let there = choices.iter().filter(|choice| choice.later.is_none());
            there.map(|choice| choice.word).collect()
        }
        Kind::List(words) => words.to_vec(),
        _ => Vec::new(),
    };
    let words = if words.is_empty() {
        String::new()
    } else {
        format!(" [{}]", words.join(", "))
    };
    // A truth value's flag stands for what is not the default.
    match default.filter(|default| !default.is_empty() && setting.kind != Kind::Bool) {
        Some(default) => format!("{doc}{words} [default: {default}]"),
        None => format!("{doc}{words}"),
    }
}

fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "BOOL",
        Kind::Number(..) | Kind::OneOf(_) => "N",
        Kind::Subnet(..) => "CIDR",
        Kind::Address => "ADDRESS",
        Kind::Version => "VERSION",
        Kind::Url | Kind::GoProxy => "URL",
        Kind::Registry => "REGISTRY",
        Kind::Base => "BASE",
        Kind::Digest(_) => "DIGEST",
        Kind::Path => "PATH",
        Kind::Text => "TEXT",
        Kind::Label | Kind::Choice(_) => "NAME",
        Kind::List(_) => "NAMES",
    }
}

fn heading(setting: &Setting) -> &'static str {
    match setting.section() {
        _ if setting.global => "Global options",
        "source" => "Where Kubernetes comes from",
        "image" => "Node image",
        _ => "Cluster",
    }
}

/// Takes any text, and knows some words for the shells' completion.
///
/// clap would stop at the first wrong word; the checks of settings tell all.
#[derive(Clone)]
struct Words {
    words: Vec<&'static str>,
}

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        clap::builder::StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().map(PossibleValue::new)))
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self::from_matches(matches, is_local))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        with_flags(command, is_local)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for GlobalFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(SettingFlags::from_matches(matches, is_global)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for GlobalFlags {
    fn augment_args(command: Command) -> Command {
        with_flags(command, is_global)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for BareUp {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        UpArgs::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for BareUp {
    fn augment_args(command: Command) -> Command {
        let up = UpArgs::augment_args(Command::new("up"));
        command.args(up.get_arguments().cloned().map(|arg| arg.hide(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
