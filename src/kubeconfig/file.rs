//! Reading and replacing the file, under the lock that kubectl takes.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_yaml::Value;

use super::KubeconfigError;

const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(50);
/// As many links as Linux follows.
const LINKS: usize = 40;
const PRIVATE: u32 = 0o600;

/// Replaces the content of a kubeconfig by what `change` makes of it. What it refuses, or leaves as it is, is not written.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(Value) -> Result<Value, String>,
) -> Result<(), KubeconfigError> {
    let _lock = Lock::take(path, LOCK_PATIENCE)?;
    let old = read(path)?;
    let new = change(old.clone()).map_err(|problem| KubeconfigError::Shape {
        path: path.to_owned(),
        problem,
    })?;
    if new == old {
        return Ok(());
    }
    let text = serde_yaml::to_string(&new).map_err(|source| KubeconfigError::Syntax {
        path: path.to_owned(),
        source,
    })?;
    let target = target(path);
    let mode = fs::metadata(&target).map_or(PRIVATE, |found| found.permissions().mode() & 0o777);
    replace(&target, &text, mode).map_err(|source| failed("write", path, source))
}

fn read(path: &Path) -> Result<Value, KubeconfigError> {
    match fs::read_to_string(path) {
        Ok(text) => serde_yaml::from_str(&text).map_err(|source| KubeconfigError::Syntax {
            path: path.to_owned(),
            source,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
        Err(source) => Err(failed("read", path, source)),
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> KubeconfigError {
    KubeconfigError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Writes a file that only its owner can read, as a whole or not at all. Its directory is made where there is none.
pub fn write_private(path: &Path, text: &str) -> Result<(), KubeconfigError> {
    let write = || {
        make_parent(path)?;
        replace(&target(path), text, PRIVATE)
    };
    write().map_err(|source| failed("write", path, source))
}

fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".local-cluster-")
        .permissions(Permissions::from_mode(PRIVATE))
        .tempfile_in(parent(path))?;
    file.write_all(text.as_bytes())?;
    // By name, the umask would have its say.
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn make_parent(path: &Path) -> io::Result<()> {
    fs::create_dir_all(parent(path))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The file behind symbolic links, whether it exists or not: a link is to stay one.
fn target(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = parent(&path).join(link),
            Err(_) => break,
        }
    }
    path
}

/// kubectl's lock: a file beside the kubeconfig that is there while someone changes it.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
}

impl Lock {
    fn take(path: &Path, patience: Duration) -> Result<Self, KubeconfigError> {
        // kubectl appends to the name as given, not to that of the file behind a link.
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        make_parent(path).map_err(|source| failed("make the directory of", path, source))?;
        let started = Instant::now();
        loop {
            match OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(PRIVATE)
                .open(&lock)
            {
                Ok(_) => return Ok(Self { path: lock }),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("make the lock file", &lock, error));
                }
                Err(_) if started.elapsed() >= patience => {
                    return Err(KubeconfigError::Locked { lock });
                }
                Err(_) => std::thread::sleep(LOCK_RETRY),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If it cannot be removed, the next one to come is told its name.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_stays_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        let lock = Lock::take(&path, Duration::ZERO).unwrap();
        let error = Lock::take(&path, Duration::from_millis(60)).unwrap_err();
        assert!(error.to_string().contains("config.lock"), "{error}");
        assert!(error.hint().unwrap().contains("config.lock"));
        drop(lock);
        Lock::take(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_lock_that_goes_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        let lock = Lock::take(&path, Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(LOCK_RETRY * 2);
                drop(lock);
            });
            Lock::take(&path, Duration::from_secs(10)).unwrap();
        });
    }

    #[test]
    fn private_files_are_private_even_if_they_were_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/admin.conf");
        write_private(&path, "one").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write_private(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            PRIVATE
        );
        assert_eq!(
            fs::read_dir(directory.path().join("a/b")).unwrap().count(),
            1
        );
    }
}
