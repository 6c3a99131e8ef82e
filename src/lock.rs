//! One run at a time for each cluster.
//!
//! The lock is the kernel's, on a file that stays: it goes with the process that holds it, however that ends. The file says who
//! holds it. Children do not inherit it, since files are opened close-on-exec.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Held for as long as it lives.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Drop for Lock {
    /// Closing the file would do, but for a child that is being started at this moment and has it until it runs its program.
    fn drop(&mut self) {
        // A lock that cannot be given back goes with the process.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// The file of the lock.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run works on the cluster.
    #[error("another run works on cluster `{cluster}`: {} holds the lock `{}`", holder(*.pid, .command.as_deref()), path.display())]
    Held {
        /// Name of the cluster.
        cluster: String,
        /// The file of the lock.
        path: PathBuf,
        /// The process that holds it, where the file says.
        pid: Option<u32>,
        /// That process's command line.
        command: Option<String>,
    },
    /// The lock file cannot be used.
    #[error("cannot use the lock file `{}`", path.display())]
    Io {
        /// The file of the lock.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The words for a process that holds a lock.
fn holder(pid: Option<u32>, command: Option<&str>) -> String {
    match (pid, command) {
        (Some(pid), Some(command)) => format!("process {pid}, `{command}`,"),
        (Some(pid), None) => format!("process {pid}"),
        (None, _) => "a process that did not say its name".to_owned(),
    }
}

impl LockError {
    /// The words for who holds it, where somebody does.
    pub fn held_by(&self) -> Option<String> {
        match self {
            Self::Held { pid, command, .. } => {
                let holder = holder(*pid, command.as_deref());
                Some(holder.trim_end_matches(',').to_owned())
            }
            Self::Io { .. } => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Held { pid: Some(pid), .. } => Some(format!(
                "wait until it is done, or stop it with `kill {pid}`"
            )),
            Self::Held { pid: None, .. } => Some("wait until it is done".to_owned()),
            Self::Io { .. } => None,
        }
    }
}

/// Takes the lock of a cluster, or says who has it. Does not wait.
pub fn acquire(directory: &Path, cluster: &str) -> Result<Lock, LockError> {
    let path = directory.join(format!("{}.lock", file_stem(cluster)));
    let failed = |source| LockError::Io {
        path: path.clone(),
        source,
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut file = open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held(&mut file, cluster, path)),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    write_holder(&mut file).map_err(failed)?;
    Ok(Lock { file, path })
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// A cluster's name as a file name; names that are none are told apart by their bytes.
fn file_stem(cluster: &str) -> String {
    let mut stem = String::from("cluster-");
    for byte in cluster.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            stem.push(char::from(byte));
        } else {
            stem.push('%');
            stem.extend([byte >> 4, byte & 0xf].map(hex_digit));
        }
    }
    stem
}

/// The program and its subcommand. No more: other arguments might be secrets.
fn first_words(args: impl Iterator<Item = OsString>) -> Vec<String> {
    let words = args.map(|arg| arg.to_string_lossy().into_owned());
    words
        .take_while(|word| !word.starts_with('-'))
        .take(2)
        .collect()
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

fn write_holder(file: &mut File) -> io::Result<()> {
    let command = first_words(std::env::args_os());
    file.set_len(0)?;
    write!(
        file,
        "{}\n{}\n",
        std::process::id(),
        crate::error::shell_quote(&command)
    )
}

fn held(file: &mut File, cluster: &str, path: PathBuf) -> LockError {
    let mut text = String::new();
    // What cannot be read only makes the message poorer.
    let _ = file.take(4096).read_to_string(&mut text);
    let mut lines = text.lines();
    let pid = lines.next().and_then(|pid| pid.parse().ok());
    let command = lines
        .next()
        .filter(|command| !command.is_empty())
        .map(str::to_owned);
    LockError::Held {
        cluster: cluster.to_owned(),
        path,
        pid,
        command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_who_holds_it() {
        let directory = tempfile::tempdir().unwrap();
        let lock = acquire(&directory.path().join("new"), "dev").unwrap();
        let error = acquire(&directory.path().join("new"), "dev").unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!("process {}, `", std::process::id())),
            "{text}"
        );
        assert!(text.contains(lock.path().to_str().unwrap()), "{text}");
        assert!(error.hint().unwrap().contains("kill "));
    }

    #[test]
    fn it_is_free_again_afterwards_and_other_clusters_never_wait() {
        let directory = tempfile::tempdir().unwrap();
        let lock = acquire(directory.path(), "dev").unwrap();
        let _other = acquire(directory.path(), "test").unwrap();
        // A child that is being started has the file for a moment, whatever it closes then.
        let _inherited = lock.file.try_clone().unwrap();
        drop(lock);
        let _again = acquire(directory.path(), "dev").unwrap();
    }

    #[test]
    fn children_do_not_keep_it() {
        let directory = tempfile::tempdir().unwrap();
        let lock = acquire(directory.path(), "dev").unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        drop(lock);
        let again = acquire(directory.path(), "dev");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(again.is_ok());
    }

    #[test]
    fn only_the_subcommand_is_told() {
        let words = |args: &[&str]| first_words(args.iter().map(OsString::from));
        assert_eq!(words(&["lc", "up", "--token", "x"]), ["lc", "up"]);
        assert_eq!(words(&["lc", "--token=x", "up"]), ["lc"]);
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        assert_eq!(file_stem("dev-1"), "cluster-dev-1");
        assert_eq!(file_stem("../x"), "cluster-%2e%2e%2fx");
        assert_ne!(file_stem("a/b"), file_stem("a_b"));
    }

    #[test]
    fn an_empty_or_odd_file_gives_a_message_too() {
        let directory = tempfile::tempdir().unwrap();
        let lock = acquire(directory.path(), "dev").unwrap();
        std::fs::write(lock.path(), [0xff, 0xfe]).unwrap();
        let text = acquire(directory.path(), "dev").unwrap_err().to_string();
        assert!(text.contains("did not say its name"), "{text}");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = acquire(&file.path().join("x"), "dev").unwrap_err();
        assert!(matches!(error, LockError::Io { .. }), "{error}");
    }
}
