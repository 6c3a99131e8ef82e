//! The user's kubeconfig: our cluster in, our cluster out, all else as it was.
//!
//! `merge` decides, on parsed values; `file` reads and writes, under kubectl's own lock.

mod file;
mod merge;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub use file::write_private;

/// Why a kubeconfig could not be changed. The file is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file cannot be read, written or replaced.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The file is not YAML.
    #[error("`{}` is not valid YAML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_yaml::Error,
    },
    /// The file is YAML, but no kubeconfig.
    #[error("`{}` is not a kubeconfig: {problem}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is not as it must be.
        problem: String,
    },
    /// The cluster's own kubeconfig cannot be used.
    #[error("the cluster's admin.conf cannot be used: {0}")]
    Admin(String),
    /// kubectl's lock is held.
    #[error("the kubeconfig is locked by `{}`", lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
    },
}

impl KubeconfigError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Locked { lock } => Some(format!(
                "if no kubectl or other tool is changing it, the lock was left behind: `rm {}`",
                crate::error::shell_quote(&[lock.display().to_string()])
            )),
            Self::Syntax { .. } | Self::Shape { .. } => Some(
                "repair the file, or leave it alone with `--no-merge`; it was not changed".into(),
            ),
            Self::Io { .. } | Self::Admin(_) => None,
        }
    }
}

/// Puts the cluster of an admin.conf into a kubeconfig under a name, and makes it the current one. The file and its directory
/// are made where there are none.
pub fn merge_into(path: &Path, admin_conf_text: &str, name: &str) -> Result<(), KubeconfigError> {
    let admin = serde_yaml::from_str(admin_conf_text)
        .map_err(|error| KubeconfigError::Admin(error.to_string()))?;
    let access = merge::Access::of(&admin, name).map_err(KubeconfigError::Admin)?;
    file::change(path, |config| merge::merge(config, &access))
}

/// The kubeconfig of an admin.conf alone, with all its entries under this name.
pub fn named(admin_conf_text: &str, name: &str) -> Result<String, KubeconfigError> {
    let unusable = |error: serde_yaml::Error| KubeconfigError::Admin(error.to_string());
    let admin = serde_yaml::from_str(admin_conf_text).map_err(unusable)?;
    let access = merge::Access::of(&admin, name).map_err(KubeconfigError::Admin)?;
    let alone = merge::merge(serde_yaml::Value::Null, &access).map_err(KubeconfigError::Admin)?;
    serde_yaml::to_string(&alone).map_err(unusable)
}

/// Takes the cluster of this name out of a kubeconfig. No file is as good as a file without it.
pub fn remove_from(path: &Path, name: &str) -> Result<(), KubeconfigError> {
    if !path.exists() {
        return Ok(());
    }
    file::change(path, |config| merge::remove(config, name))
}

/// The user's kubeconfig: of the files that `KUBECONFIG` names the first that exists, or else the first; without it
/// `~/.kube/config`.
pub fn user_path(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let value = environment
        .get("KUBECONFIG")
        .map(String::as_str)
        .unwrap_or_default();
    let paths: Vec<PathBuf> = std::env::split_paths(value)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    let existing = paths.iter().find(|path| path.exists());
    if let Some(path) = existing.or(paths.first()) {
        return Some(path.clone());
    }
    let home = environment.get("HOME").filter(|home| !home.is_empty())?;
    Some(Path::new(home).join(".kube/config"))
}

#[cfg(test)]
mod tests;
