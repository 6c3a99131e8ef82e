//! The file in which a download grows: `<file>.part`, beside the one that it becomes.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};

use super::super::digest::{Expected, Hasher, read_into};

/// How often is looked whether another process is done with the same file: locks cannot be awaited.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// A part file that is ours alone, with the digest of what is in it.
pub(super) struct Part {
    path: PathBuf,
    writer: BufWriter<File>,
    hasher: Hasher,
    length: u64,
}

impl Part {
    /// Opens the part file, waits until no other process holds it, and reads what an earlier run left.
    pub(super) async fn open(file: &Path, expected: &Expected) -> io::Result<Self> {
        if let Some(directory) = file.parent() {
            tokio::fs::create_dir_all(directory).await?;
        }
        let path = path_of(file);
        let mut writer = locked(&path).await?;
        let (hasher, length) = read_into(expected.hasher(), path.clone()).await?;
        writer.seek(SeekFrom::Start(length)).await?;
        Ok(Self {
            path,
            writer: BufWriter::with_capacity(256 * 1024, writer),
            hasher,
            length,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Forgets what is there.
    pub(super) async fn restart(&mut self, expected: &Expected) -> io::Result<()> {
        self.writer.seek(SeekFrom::Start(0)).await?;
        self.writer.get_mut().set_len(0).await?;
        self.hasher = expected.hasher();
        self.length = 0;
        Ok(())
    }

    pub(super) async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Puts what is still in memory into the file, for the next run to go on from.
    pub(super) async fn keep(&mut self) -> io::Result<()> {
        self.writer.flush().await
    }

    /// Ends the writing: the digest of all that is there.
    pub(super) async fn finish(mut self) -> io::Result<(Finished, String)> {
        self.writer.flush().await?;
        let finished = Finished {
            path: self.path,
            file: self.writer.into_inner(),
        };
        Ok((finished, self.hasher.finish()))
    }
}

/// A part file that is written; still locked.
pub(super) struct Finished {
    path: PathBuf,
    file: File,
}

impl Finished {
    /// Makes it the file itself: whole, or not at all, even if the power goes.
    pub(super) async fn accept(self, file: &Path) -> io::Result<()> {
        self.file.sync_all().await?;
        tokio::fs::rename(&self.path, file).await?;
        match file.parent() {
            Some(directory) => File::open(directory).await?.sync_all().await,
            None => Ok(()),
        }
    }

    pub(super) async fn reject(self) -> io::Result<()> {
        tokio::fs::remove_file(&self.path).await
    }
}

pub(super) fn path_of(file: &Path) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(".part");
    path.into()
}

/// Two clusters may come up at once and want the same file: one of them fetches it.
async fn locked(path: &Path) -> io::Result<File> {
    loop {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(File::from_std(file)),
            // The process that had it has renamed or removed it meanwhile.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_at(file: &std::fs::File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}
