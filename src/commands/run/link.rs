//! The link to the cluster's kubectl that lasts as long as a run.

use super::Identity;
use super::Session;
use crate::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A link that is to be made.
#[derive(Debug)]
pub(super) struct Link {
    path: PathBuf,
    /// The kubectl, which need not be there yet.
    target: PathBuf,
}

impl Link {
    /// Looks whether it can be made: there must be nothing, or what a killed run of this cluster has left.
    pub(super) fn plan(session: &Session, identity: &Identity, path: &Path) -> Result<Self, Error> {
        let absolute = |path: &Path| {
            let doing = || format!("find out where `{}` is", path.display());
            std::path::absolute(path).map_err(|source| Error::other(doing(), source))
        };
        let link = Self {
            path: absolute(path)?,
            target: absolute(&session.directory(&identity.names)?.join("kubectl"))?,
        };
        link.is_there()?;
        Ok(link)
    }

    /// Whether it is there; anything else in its place is an error.
    fn is_there(&self) -> Result<bool, Error> {
        match std::fs::read_link(&self.path) {
            Ok(target) if target == self.target => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            // What is no link is an invalid argument.
            Ok(_) => Err(self.in_the_way()),
            Err(error) if error.kind() == ErrorKind::InvalidInput => Err(self.in_the_way()),
            Err(source) => Err(Error::other(
                format!("look at `{}`", self.path.display()),
                source,
            )),
        }
    }

    fn in_the_way(&self) -> Error {
        Error::with_hint(
            format!(
                "`{}` is there already, and is no link to {}",
                self.path.display(),
                self.target.display()
            ),
            "remove it, or give another path with `--kubectl-link`",
        )
    }

    /// Makes it.
    pub(super) fn make(&self) -> Result<(), Error> {
        if self.is_there()? {
            return Ok(());
        }
        let made = std::os::unix::fs::symlink(&self.target, &self.path);
        made.map_err(|source| {
            Error::other(format!("make the link `{}`", self.path.display()), source)
        })
    }

    /// Removes it, unless somebody has put something else in its place.
    pub(super) fn remove(&self) -> Result<(), Error> {
        if !self.is_there().unwrap_or(false) {
            return Ok(());
        }
        let removed = std::fs::remove_file(&self.path);
        removed.map_err(|source| {
            Error::other(format!("remove the link `{}`", self.path.display()), source)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_link_of_ours_is_touched() {
        let place = tempfile::tempdir().unwrap();
        let link = Link {
            path: place.path().join("kubectl"),
            target: place.path().join("home/kubectl"),
        };
        link.make().unwrap();
        // As a killed run leaves it.
        link.make().unwrap();
        assert_eq!(std::fs::read_link(&link.path).unwrap(), link.target);
        link.remove().unwrap();
        link.remove().unwrap();
        assert!(!link.is_there().unwrap());

        std::fs::write(&link.path, "somebody's").unwrap();
        let told = link.make().unwrap_err().to_string();
        assert!(told.contains("is there already"), "{told}");
        link.remove().unwrap();
        assert_eq!(std::fs::read_to_string(&link.path).unwrap(), "somebody's");

        std::fs::remove_file(&link.path).unwrap();
        std::os::unix::fs::symlink("/elsewhere/kubectl", &link.path).unwrap();
        assert!(link.make().is_err());
        link.remove().unwrap();
        assert!(std::fs::symlink_metadata(&link.path).is_ok());

        let nowhere = Link {
            path: place.path().join("no/kubectl"),
            target: link.target,
        };
        assert!(nowhere.make().is_err());
        nowhere.remove().unwrap();
    }
}
