//! A snapshot as a file: what is in it, and whether a file that somebody brings is one. PURE: reads and writes what it is
//! given.
//!
//! The file is a tar archive that ordinary tools can read: `manifest.json`, then the parts, each a tar archive compressed
//! with zstd. The manifest is padded with blanks to a fixed size, since it is known last and comes first.

mod check;
mod writer;

use super::Origin;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

pub use check::{check, manifest, offset, open};
pub use writer::{PartWriter, Writer};

/// The form of the file. Another form is another number.
const FORMAT: u32 = 1;

/// The size of the manifest with its padding.
const MANIFEST_SIZE: u64 = 64 << 10;

const MANIFEST: &str = "manifest.json";

/// How hard is compressed: what is won beyond this costs more time than the copying of the file.
const LEVEL: i32 = 3;

/// What a tar archive is made of.
const BLOCK: u64 = 512;

/// One without anything in it.
const EMPTY: [u8; 512] = [0; 512];

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The node image, as the engine saves it.
    Image,
    /// The volume of unpacked images.
    Preload,
    /// The snapshot's own volume: what the nodes have, keys among it.
    Nodes,
}

impl Kind {
    /// All parts, in their order.
    pub const ALL: [Self; 3] = [Self::Image, Self::Preload, Self::Nodes];

    /// The part's name in the file.
    pub fn entry(self) -> &'static str {
        match self {
            Self::Image => "image.tar.zst",
            Self::Preload => "preload.tar.zst",
            Self::Nodes => "nodes.tar.zst",
        }
    }
}

/// What is known of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which.
    pub kind: Kind,
    /// Its size in the file.
    pub size: u64,
    /// Its size as a tar archive.
    pub unpacked: u64,
    /// The digest of what is in the file.
    pub sha256: String,
}

/// What the file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The form of the file.
    pub format: u32,
    /// The version of this program that made it.
    pub version: String,
    /// The architecture of the engine, as Go names it.
    pub architecture: String,
    /// The snapshot's name.
    pub name: String,
    /// The number of its cluster.
    pub cluster_id: u8,
    /// What it was made of.
    pub of: Origin,
    /// Tells this preload volume from another of the same name: a digest of the runtime's databases in it.
    pub preload_is: String,
    /// Its parts, in their order.
    pub parts: Vec<Part>,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error("it is not a snapshot that `local-cluster snapshot export` has made")]
    Other,
    /// It is one of another program or machine.
    #[error("{0}")]
    Foreign(String),
    /// It ends too early.
    #[error("it ends before its end: it has {has} bytes and should have {should}")]
    CutOff {
        /// Its size.
        has: u64,
        /// What its size should be.
        should: u64,
    },
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl Manifest {
    /// What a file is to say of a snapshot; the parts come as they are written.
    pub fn new(
        name: &str,
        cluster_id: u8,
        of: Origin,
        architecture: &str,
        preload_is: String,
    ) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            architecture: architecture.to_owned(),
            name: name.to_owned(),
            cluster_id,
            of,
            preload_is,
            parts: Vec::new(),
        }
    }

    /// The size of a file with these parts.
    fn file_size(&self) -> u64 {
        let entry = |size: u64| size.div_ceil(BLOCK).saturating_add(1).saturating_mul(BLOCK);
        let parts = self.parts.iter().map(|part| entry(part.size));
        let all = parts.fold(entry(MANIFEST_SIZE), u64::saturating_add);
        all.saturating_add(2 * BLOCK)
    }
}

/// Counts and digests what goes through to another.
struct Counted<T> {
    inner: T,
    size: u64,
    digest: Sha256,
}

impl<T> Counted<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            size: 0,
            digest: Sha256::new(),
        }
    }

    fn hex(&self) -> String {
        crate::source::digest::hex(&self.digest.clone().finalize())
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.size += written as u64;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.size += read as u64;
        self.digest.update(&bytes[..read]);
        Ok(read)
    }
}

fn header(name: &str, size: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o600);
    header.set_cksum();
    Ok(header)
}

#[cfg(test)]
mod tests;
