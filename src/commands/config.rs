//! `local-cluster config`: the settings in effect, and the configuration file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::{ConfigCommand, Output, SettingFlags};
use crate::settings::{self, DEFAULTS, Loaded, Problems};

/// What the commands need to know of the world.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// All settings that were given as flags.
    pub flags: &'a SettingFlags,
    /// The environment.
    pub environment: &'a BTreeMap<String, String>,
    /// The tool's own directory.
    pub home: Option<&'a Path>,
}

/// Why a command cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// There is no place for the file.
    #[error(
        "cannot tell where the configuration file is: neither HOME nor LOCAL_CLUSTER_CONF is set"
    )]
    NoPlace,
    /// The file is there.
    #[error("`{}` is there already; `--force` replaces it", .0.display())]
    IsThere(PathBuf),
    /// The file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The settings cannot be put into text.
    #[error("cannot print the settings")]
    Print(#[from] serde_json::Error),
}

/// Does the command; what comes back is to be printed.
pub fn run(
    command: &ConfigCommand,
    surroundings: &Surroundings<'_>,
    output: Output,
) -> Result<String, ConfigError> {
    let Surroundings {
        flags,
        environment,
        home,
    } = *surroundings;
    let path = || settings::file_path(environment, home).ok_or(ConfigError::NoPlace);
    match command {
        ConfigCommand::Show { origin, .. } => {
            let loaded = settings::load(flags, environment, home)?;
            show(&loaded, *origin, output)
        }
        ConfigCommand::Path => path().map(|path| about_path(&path, output)),
        ConfigCommand::Init { force } => {
            let path = path()?;
            write_defaults(&path, *force)?;
            Ok(about_path(&path, output))
        }
        ConfigCommand::Schema => Ok(settings::SCHEMA.to_owned()),
    }
}

fn about_path(path: &Path, output: Output) -> String {
    match output {
        Output::Text => format!("{}\n", path.display()),
        Output::Json => format!("{}\n", json!({ "path": path })),
    }
}

/// The settings in effect: as a configuration file, or as JSON.
fn show(loaded: &Loaded, with_origin: bool, output: Output) -> Result<String, ConfigError> {
    let values = serde_json::to_value(&loaded.settings)?;
    Ok(match output {
        Output::Text => as_file(loaded, &values, with_origin),
        Output::Json if with_origin => {
            let origins: BTreeMap<&str, &str> = loaded
                .origins
                .iter()
                .map(|of| (of.name, of.origin.as_str()))
                .collect();
            format!("{:#}\n", json!({ "settings": values, "origins": origins }))
        }
        Output::Json => format!("{values:#}\n"),
    })
}

fn as_file(loaded: &Loaded, values: &Value, with_origin: bool) -> String {
    let mut lines = Vec::new();
    let mut section = "";
    for of in &loaded.origins {
        let (above, key) = of.name.split_once('.').unwrap_or(("", of.name));
        if above != section {
            section = above;
            lines.push((format!("{section}:"), ""));
        }
        let indent = if above.is_empty() { "" } else { "  " };
        let value = of.name.split('.').fold(values, |value, key| &value[key]);
        lines.push((
            format!("{indent}{key}: {}", in_yaml(value)),
            of.origin.as_str(),
        ));
    }
    let width = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .max()
        .unwrap_or(0);
    let whole = lines
        .iter()
        .map(|(line, origin)| match (with_origin, *origin) {
            (false, _) | (true, "") => format!("{line}\n"),
            (true, origin) => format!("{line:width$}  # {origin}\n"),
        });
    whole.collect()
}

/// A value on one line: text that is nothing but text to YAML needs no quotes.
fn in_yaml(value: &Value) -> String {
    match value {
        Value::String(text) => serde_yaml::to_string(text)
            .map_or_else(|_| value.to_string(), |text| text.trim_end().to_owned()),
        other => other.to_string(),
    }
}

/// Writes the commented defaults, readable for the user alone, and whole or not at all.
fn write_defaults(path: &Path, force: bool) -> Result<(), ConfigError> {
    let cannot = |source| ConfigError::Write {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(cannot)?;
    }
    if force {
        // A file beside it takes its place: a reader sees the old one or the new one.
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let mut file =
            tempfile::NamedTempFile::new_in(parent.unwrap_or(Path::new("."))).map_err(cannot)?;
        file.write_all(DEFAULTS.as_bytes()).map_err(cannot)?;
        file.persist(path).map_err(|error| cannot(error.error))?;
        return Ok(());
    }
    let created = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(mut file) => file.write_all(DEFAULTS.as_bytes()).map_err(cannot),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(ConfigError::IsThere(path.to_owned()))
        }
        Err(error) => Err(cannot(error)),
    }
}
