//! The layers, lowest first: what each gives, checked, and all that is wrong with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::document::{self, Content, Entry};
use super::nearest::nearest;
use super::problem::{Origin, Problem, Problems, Wrong};
use super::table::{self, Availability, Kind, PREFIX, SETTINGS, Setting};
use super::{DEFAULTS, FILE_VARIABLE, value};
use crate::cli::SettingFlags;

/// The form of configuration files that is understood.
const FILE_VERSION: &str = "1";

/// A configuration file that was read.
pub(super) struct File {
    pub(super) path: PathBuf,
    text: String,
}

/// A setting that one of the layers gives.
pub(super) struct Given {
    pub(super) setting: &'static Setting,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Reads the configuration file. One that is asked for must be there; the usual one need not.
pub(super) fn read_file(
    environment: &BTreeMap<String, String>,
    home: Option<&Path>,
) -> Result<Option<File>, Problems> {
    let Some(path) = super::file_path(environment, home) else {
        return Ok(None);
    };
    let is_asked_for = environment
        .get(FILE_VARIABLE)
        .is_some_and(|path| !path.is_empty());
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(File { path, text })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_asked_for => Ok(None),
        Err(error) => {
            let right = format!("name a readable file in {FILE_VARIABLE}, or none");
            let what = Wrong::new(format!("cannot be read: {error}"), right);
            Err(Problems(vec![Problem {
                origin: Origin::File(path, 0),
                key: None,
                what,
            }]))
        }
    }
}

/// What all layers give, lowest first, and all that is wrong.
pub(super) fn all(
    file: Option<&File>,
    environment: &BTreeMap<String, String>,
    flags: &SettingFlags,
) -> (Vec<Given>, Vec<Problem>) {
    let mut layers = Layers::default();
    layers.text(DEFAULTS, None);
    if let Some(File { path, text }) = file {
        layers.text(text, Some(path));
    }
    layers.old_variables(environment);
    layers.variables(environment);
    for (setting, text) in flags.iter() {
        layers.switch(setting, text, Origin::Flag(setting.flag));
    }
    (layers.given, layers.problems)
}

#[derive(Default)]
struct Layers {
    given: Vec<Given>,
    problems: Vec<Problem>,
}

impl Layers {
    fn problem(&mut self, origin: Origin, key: Option<&str>, what: Wrong) {
        self.problems.push(Problem {
            origin,
            key: key.map(str::to_owned),
            what,
        });
    }

    /// The text of a configuration file, or of the defaults if there is no path.
    fn text(&mut self, text: &str, path: Option<&Path>) {
        let origin = |line: &dyn Fn() -> usize| match path {
            Some(path) => Origin::File(path.to_owned(), line()),
            None => Origin::Default,
        };
        let is_leaf = |name: &str| table::find(name).is_some() || name == "version";
        let entries = match document::read(text, is_leaf) {
            Ok(entries) => entries,
            Err((line, what)) => return self.problem(origin(&|| line), None, what),
        };
        let mut seen: BTreeMap<&str, &Entry> = BTreeMap::new();
        for entry in &entries {
            let Entry { name, content, .. } = entry;
            let here = || origin(&|| entry.line(text));
            if let Some(first) = seen.insert(name, entry) {
                let right = format!("line {} has it already", first.line(text));
                self.problem(here(), Some(name), Wrong::new("is given twice", right));
            } else if let Some(setting) = table::find(name) {
                self.content(setting, content, here());
            } else if let Some(what) = about_other_key(name, content) {
                self.problem(here(), Some(name), what);
            }
        }
    }

    fn content(&mut self, setting: &'static Setting, content: &Content, origin: Origin) {
        match (content, setting.kind) {
            (Content::Text(text), _) => self.give(setting, text, origin, false),
            (Content::List(texts), Kind::List(_)) => {
                self.give(setting, &texts.join(","), origin, false);
            }
            _ => {
                let what = Wrong::new("is not a single value", value::give(setting.kind));
                self.problem(origin, Some(setting.name), what);
            }
        }
    }

    /// The variables of the older tool. Its truth values are true when they are anything at all.
    fn old_variables(&mut self, environment: &BTreeMap<String, String>) {
        for setting in SETTINGS {
            let Some(name) = setting.old_variable else {
                continue;
            };
            let Some(text) = environment.get(name).filter(|text| !text.is_empty()) else {
                continue;
            };
            let text = if setting.kind == Kind::Bool {
                "true"
            } else {
                text
            };
            self.give(setting, text, Origin::Variable(name.to_owned()), false);
        }
    }

    /// Our own variables. An empty one counts as not there: shells have no other way to say so.
    fn variables(&mut self, environment: &BTreeMap<String, String>) {
        let known: Vec<(String, &Setting)> = SETTINGS
            .iter()
            .map(|setting| (setting.variable(), setting))
            .collect();
        for (name, text) in environment {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let origin = Origin::Variable(name.clone());
            match known.iter().find(|(known, _)| known == name) {
                Some(_) if text.is_empty() => {}
                Some((_, setting)) => self.switch(setting, text, origin),
                None => {
                    let rests = known.iter().map(|(known, _)| &known[PREFIX.len()..]);
                    let right = match nearest(rest, rests) {
                        Some(near) => format!("did you mean {PREFIX}{near}?"),
                        None => format!("unset it: all that begins with {PREFIX} is a setting"),
                    };
                    self.problem(origin, None, Wrong::new("is no setting", right));
                }
            }
        }
    }

    /// A flag or a variable: some say the opposite of their setting.
    fn switch(&mut self, setting: &'static Setting, text: &str, origin: Origin) {
        self.give(setting, text, origin, setting.negated.is_some());
    }

    fn give(&mut self, setting: &'static Setting, text: &str, origin: Origin, negated: bool) {
        if let Availability::Later { reason, today } = setting.availability {
            if text.trim() != today {
                let right = match today {
                    "" => "leave it out".to_owned(),
                    today => format!("leave it out, or `{today}`"),
                };
                self.problem(origin, Some(setting.name), Wrong::new(reason, right));
            }
            return;
        }
        match value::parse(setting, text) {
            Ok(Value::Bool(value)) if negated => {
                self.given.push(Given {
                    setting,
                    value: Value::Bool(!value),
                    origin,
                });
            }
            Ok(value) => self.given.push(Given {
                setting,
                value,
                origin,
            }),
            Err(what) => self.problem(origin, Some(setting.name), what),
        }
    }
}

/// What is wrong with a key that is no setting.
fn about_other_key(name: &str, content: &Content) -> Option<Wrong> {
    let is_section = SETTINGS.iter().any(|setting| setting.section() == name);
    match content {
        Content::Text(text) if name == "version" => (text != FILE_VERSION).then(|| {
            let what = format!("`{text}` is not a version that this tool knows");
            Wrong::new(what, format!("give `{FILE_VERSION}`"))
        }),
        // A section in which everything is commented out.
        Content::Text(text) if is_section && text.is_empty() => None,
        _ if is_section => Some(Wrong::new(
            "is a section",
            "write its settings below it, indented",
        )),
        _ => {
            let right = match nearest(name, SETTINGS.iter().map(|setting| setting.name)) {
                Some(near) => format!("did you mean {near}?"),
                None => "`local-cluster config show` lists all settings".to_owned(),
            };
            Some(Wrong::new("is no setting", right))
        }
    }
}
