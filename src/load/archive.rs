//! An archive of images as it comes in: a tar stream whose table of contents is at its end.
//!
//! What it has is hashed and laid into a spool file while it passes, so that memory stays small. An archive comes from
//! outside: no name in it becomes a path, nothing is believed of its digests, and what is large is never held in memory.

use super::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use tar::EntryType;

/// Files up to this size are kept whatever they are, and only such are read as JSON.
const SMALL: u64 = 4 << 20;
/// More files than this no archive of images has.
const MOST_FILES: usize = 100_000;
/// A chain of links that is longer leads in a circle.
const MOST_LINKS: usize = 8;

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It could not be read to its end.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    /// The spool file could not be written or read.
    #[error("the spool file cannot be used")]
    Spool(#[source] io::Error),
    /// It is compressed as a whole.
    #[error("the archive is compressed")]
    Compressed,
    /// It ends within a file.
    #[error("the archive ends within `{0}`")]
    Truncated(String),
    /// A name that leads out of the archive, or is none.
    #[error("`{0}` is no name for a file of an archive of images")]
    Name(String),
    /// A file that archives of images do not have.
    #[error("`{0}` is neither a file nor a folder nor a link")]
    Kind(String),
    /// Two files of one name.
    #[error("`{0}` is in the archive twice, with different contents")]
    Twice(String),
    /// Too many files.
    #[error("the archive has more than {MOST_FILES} files")]
    TooMany,
    /// The content is not what the name says.
    #[error("`{name}` has the digest {found}: the archive is damaged")]
    Digest {
        /// The name, of which a digest is part.
        name: String,
        /// What its content has.
        found: Digest,
    },
    /// Something is named that is not there.
    #[error("the archive has no `{0}`")]
    Missing(String),
    /// A file that is to be read as a whole is too large for that.
    #[error("`{0}` is too large")]
    TooLarge(String),
    /// A file is not what it should be.
    #[error("`{name}` cannot be understood")]
    Json {
        /// The file.
        name: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It is an archive, but not one of images.
    #[error("the archive has neither `manifest.json` nor `index.json`: it is none of images")]
    NotImages,
    /// An image of it is not in order.
    #[error("image `{image}`: {problem}")]
    Image {
        /// Its name.
        image: String,
        /// What is wrong.
        problem: String,
    },
}

/// A file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The digest of the bytes that came.
    pub digest: Digest,
    /// How many they were.
    pub size: u64,
    /// Where they lie in the spool file; nowhere if nobody wants them.
    pub at: Option<u64>,
    /// How the bytes are compressed.
    pub compression: Compression,
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

impl Compression {
    fn of(beginning: &[u8]) -> Self {
        match beginning {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File(Content),
    /// Another file of the archive.
    Link(String),
}

/// What an archive has, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Reads an archive to its end, all of it below this folder, if it has one. Large files that nobody wants are not kept; `passed` is told how many bytes of files
    /// have come.
    pub fn read(
        from: impl Read,
        folder: &str,
        spool: &mut (impl Write + Seek),
        unwanted: impl Fn(&Digest) -> bool,
        mut passed: impl FnMut(u64),
    ) -> Result<Self, ArchiveError> {
        let mut from = io::BufReader::with_capacity(1 << 18, from);
        let beginning = io::BufRead::fill_buf(&mut from).map_err(ArchiveError::Read)?;
        if Compression::of(beginning) != Compression::None {
            return Err(ArchiveError::Compressed);
        }
        let mut archive = Self::default();
        let mut files = tar::Archive::new(from);
        let (mut at, mut total) = (0, 0);
        for (count, file) in files.entries().map_err(ArchiveError::Read)?.enumerate() {
            if count == MOST_FILES {
                return Err(ArchiveError::TooMany);
            }
            let mut file = file.map_err(ArchiveError::Read)?;
            let raw = String::from_utf8_lossy(&file.path_bytes()).into_owned();
            let raw = raw.strip_prefix(folder).unwrap_or(&raw).to_owned();
            let entry = match file.header().entry_type() {
                EntryType::Directory => continue,
                EntryType::Regular | EntryType::Continuous => {
                    let name = clean("", &raw).ok_or_else(|| ArchiveError::Name(raw.clone()))?;
                    let size = file.size();
                    spool
                        .seek(SeekFrom::Start(at))
                        .map_err(ArchiveError::Spool)?;
                    let mut content = take(&mut file, spool, at, &mut |bytes| {
                        total += bytes;
                        passed(total);
                    })?;
                    if content.size != size {
                        return Err(ArchiveError::Truncated(name));
                    }
                    check(&name, &content.digest)?;
                    if content.size > SMALL && unwanted(&content.digest) {
                        content.at = None;
                    } else {
                        at += content.size;
                    }
                    (name, Entry::File(content))
                }
                kind @ (EntryType::Symlink | EntryType::Link) => {
                    let name = clean("", &raw).ok_or_else(|| ArchiveError::Name(raw.clone()))?;
                    let target = file.link_name_bytes().unwrap_or_default();
                    let target = String::from_utf8_lossy(&target).into_owned();
                    // A symbolic link is seen from its own folder, a hard link from the top.
                    let folder = match name.rsplit_once('/') {
                        Some((folder, _)) if kind == EntryType::Symlink => folder,
                        _ => "",
                    };
                    let to = clean(folder, &target).ok_or(ArchiveError::Name(target))?;
                    (name, Entry::Link(to))
                }
                _ => return Err(ArchiveError::Kind(raw)),
            };
            let (name, entry) = entry;
            match archive.entries.get(&name) {
                Some(before) if !same(before, &entry) => return Err(ArchiveError::Twice(name)),
                Some(_) => {}
                None => {
                    archive.entries.insert(name, entry);
                }
            }
        }
        Ok(archive)
    }

    /// The content of a file; links are followed within the archive.
    pub fn content(&self, name: &str) -> Result<&Content, ArchiveError> {
        let missing = || ArchiveError::Missing(name.to_owned());
        let mut at = clean("", name).ok_or_else(missing)?;
        for _ in 0..MOST_LINKS {
            match self.entries.get(&at).ok_or_else(missing)? {
                Entry::File(content) => return Ok(content),
                Entry::Link(target) => at.clone_from(target),
            }
        }
        Err(missing())
    }

    /// The bytes of a small file.
    pub fn bytes(
        &self,
        name: &str,
        spool: &mut (impl Read + Seek),
    ) -> Result<Vec<u8>, ArchiveError> {
        let content = self.content(name)?;
        let size = usize::try_from(content.size)
            .ok()
            .filter(|_| content.size <= SMALL);
        let (Some(size), Some(at)) = (size, content.at) else {
            return Err(ArchiveError::TooLarge(name.to_owned()));
        };
        let mut bytes = vec![0; size];
        spool
            .seek(SeekFrom::Start(at))
            .and_then(|_| spool.read_exact(&mut bytes))
            .map_err(ArchiveError::Spool)?;
        Ok(bytes)
    }

    /// Whether there is such a file.
    pub fn has(&self, name: &str) -> bool {
        self.content(name).is_ok()
    }
}

/// The same content; where it lies does not matter.
fn same(one: &Entry, other: &Entry) -> bool {
    match (one, other) {
        (Entry::File(one), Entry::File(other)) => one.digest == other.digest,
        (Entry::Link(one), Entry::Link(other)) => one == other,
        _ => false,
    }
}

/// Lays a file into the spool and hashes it.
fn take(
    file: &mut impl Read,
    spool: &mut impl Write,
    at: u64,
    passed: &mut impl FnMut(u64),
) -> Result<Content, ArchiveError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    let (mut size, mut beginning) = (0, Vec::new());
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ArchiveError::Read(error)),
        };
        let bytes = &buffer[..count];
        if beginning.len() < 4 {
            beginning.extend(bytes.iter().take(4 - beginning.len()));
        }
        hash.update(bytes);
        spool.write_all(bytes).map_err(ArchiveError::Spool)?;
        size += count as u64;
        passed(count as u64);
    }
    Ok(Content {
        digest: Digest::new(hash.finalize().into()),
        size,
        at: Some(at),
        compression: Compression::of(&beginning),
    })
}

/// A file whose name tells a digest must have it: `blobs/sha256/HEX`, `HEX.json`, `HEX.tar`.
fn check(name: &str, found: &Digest) -> Result<(), ArchiveError> {
    let told = match name.strip_prefix("blobs/") {
        Some(blob) => {
            let (algorithm, hex) = blob.split_once('/').unwrap_or(("", blob));
            // Of other algorithms nothing is known; whoever refers to them is refused later.
            (algorithm == "sha256").then_some(hex)
        }
        None => name
            .strip_suffix(".json")
            .or_else(|| name.strip_suffix(".tar"))
            .filter(|stem| Digest::from_hex(stem).is_some()),
    };
    match told {
        Some(hex) if Digest::from_hex(hex).as_ref() != Some(found) => Err(ArchiveError::Digest {
            name: name.to_owned(),
            found: found.clone(),
        }),
        _ => Ok(()),
    }
}

/// A name in one form, as seen from a folder; none where it leads out of the archive or nowhere.
fn clean(folder: &str, name: &str) -> Option<String> {
    if name.starts_with('/') || name.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests;
