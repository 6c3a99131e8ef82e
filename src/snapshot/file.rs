//! A snapshot as a file: what is in it, and whether a file that somebody brings is one. PURE: reads and writes what it is
//! given.
//!
//! The file is a tar archive that ordinary tools can read: `manifest.json`, then the parts, each a tar archive compressed
//! with zstd. The manifest is padded with blanks to a fixed size, since it is known last and comes first.

use super::{Origin, name_fault};
use crate::cluster::{ClusterSpec, Names};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Component;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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

    /// Whether this program can use it on this architecture.
    fn fits(&self, architecture: &str) -> Result<(), FileProblem> {
        if self.version != env!("CARGO_PKG_VERSION") || self.format != FORMAT {
            return Err(of_version(&self.version));
        }
        if !is_word(&self.architecture) {
            return Err(FileProblem::Other);
        }
        if self.architecture != architecture {
            return Err(FileProblem::Foreign(format!(
                "it is for {}, and this engine is {architecture}",
                self.architecture
            )));
        }
        let odd = |what: &str| Err(FileProblem::Damaged(format!("it has no usable {what}")));
        // All of these become names of something, or are told to people.
        if name_fault(&self.name).is_some() {
            return odd("name");
        }
        if !is_reference(&self.of.image, "local-cluster/node:") {
            return odd("name of an image");
        }
        if !is_reference(&self.of.preload, "local-cluster-preload-") {
            return odd("name of a preload volume");
        }
        if self.preload_is.len() != 64
            || !self.preload_is.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return odd("digest of its preload volume");
        }
        let at = OffsetDateTime::parse(&self.of.at, &Rfc3339).ok();
        if at.and_then(|at| at.format(&Rfc3339).ok()).as_ref() != Some(&self.of.at) {
            return odd("time");
        }
        let mut settings = self.of.settings.iter();
        if settings.any(|(key, value)| (key.clone() + value).contains(char::is_control)) {
            return odd("list of nodes and settings");
        }
        let members = Names::members_named(self.of.nodes.iter().map(String::as_str));
        let spec = ClusterSpec::of_fingerprint(self.cluster_id, None, &self.of.settings, members);
        let nodes = spec.map(|spec| spec.nodes.into_iter().map(|node| node.name));
        if !nodes.is_ok_and(|nodes| nodes.eq(self.of.nodes.iter().cloned())) {
            return odd("list of nodes and settings");
        }
        let kinds = self.parts.iter().map(|part| part.kind);
        if !kinds.eq(Kind::ALL) {
            return odd("list of parts");
        }
        Ok(())
    }
}

/// The refusal of what another version has made.
fn of_version(version: &str) -> FileProblem {
    if !is_word(version) {
        return FileProblem::Other;
    }
    FileProblem::Foreign(format!(
        "it was made by version {version} of local-cluster, and this is {}",
        env!("CARGO_PKG_VERSION")
    ))
}

/// Whether it can be told to people as it is.
fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    !text.is_empty() && text.len() <= 64 && text.chars().all(fits)
}

/// Whether a name is one of ours with this beginning, and could be nothing else.
fn is_reference(name: &str, beginning: &str) -> bool {
    let rest = name.strip_prefix(beginning).unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !rest.is_empty() && rest.len() <= 128 && rest.chars().all(fits)
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

/// A file that is written.
pub struct Writer<F: Write + Seek> {
    file: F,
    parts: Vec<Part>,
}

/// A part that is written.
pub struct PartWriter<F: Write + Seek> {
    kind: Kind,
    start: u64,
    unpacked: u64,
    parts: Vec<Part>,
    to: zstd::stream::write::Encoder<'static, Counted<F>>,
}

impl<F: Write + Seek> Writer<F> {
    /// Begins a file.
    pub fn begin(mut file: F) -> io::Result<Self> {
        let room = MANIFEST_SIZE.div_ceil(BLOCK).saturating_add(1) * BLOCK;
        file.seek(SeekFrom::Start(room))?;
        Ok(Self {
            file,
            parts: Vec::new(),
        })
    }

    /// Begins the next part.
    pub fn part(mut self, kind: Kind) -> io::Result<PartWriter<F>> {
        let start = self.file.stream_position()?;
        self.file.write_all(&EMPTY)?;
        Ok(PartWriter {
            kind,
            start,
            unpacked: 0,
            parts: self.parts,
            to: zstd::stream::write::Encoder::new(Counted::new(self.file), LEVEL)?,
        })
    }

    /// Ends the file: from now on it is one.
    pub fn finish(mut self, mut manifest: Manifest) -> io::Result<(F, Manifest)> {
        self.file.write_all(&[EMPTY, EMPTY].concat())?;
        manifest.parts = self.parts;
        let mut text = serde_json::to_vec_pretty(&manifest)?;
        let size = usize::try_from(MANIFEST_SIZE).unwrap_or(usize::MAX);
        if text.len() >= size {
            return Err(io::Error::other("there is too much to say of the snapshot"));
        }
        text.resize(size - 1, b' ');
        text.push(b'\n');
        self.file.seek(SeekFrom::Start(0))?;
        self.file
            .write_all(header(MANIFEST, MANIFEST_SIZE)?.as_bytes())?;
        self.file.write_all(&text)?;
        self.file.flush()?;
        Ok((self.file, manifest))
    }
}

impl<F: Write + Seek> PartWriter<F> {
    /// Takes some of the part's tar archive.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unpacked += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    /// Ends the part.
    pub fn finish(self) -> io::Result<Writer<F>> {
        let written = self.to.finish()?;
        let part = Part {
            kind: self.kind,
            size: written.size,
            unpacked: self.unpacked,
            sha256: written.hex(),
        };
        let mut file = written.inner;
        let padding = part.size.next_multiple_of(BLOCK) - part.size;
        file.write_all(&vec![0; usize::try_from(padding).unwrap_or(0)])?;
        let end = file.stream_position()?;
        file.seek(SeekFrom::Start(self.start))?;
        file.write_all(header(part.kind.entry(), part.size)?.as_bytes())?;
        file.seek(SeekFrom::Start(end))?;
        let mut parts = self.parts;
        parts.push(part);
        Ok(Writer { file, parts })
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

/// Reads what a file says of itself, without looking at its parts.
fn manifest(file: &mut impl Read, has: u64, architecture: &str) -> Result<Manifest, FileProblem> {
    let room = MANIFEST_SIZE.div_ceil(BLOCK).saturating_add(1) * BLOCK;
    let mut head = Vec::new();
    file.take(room)
        .read_to_end(&mut head)
        .map_err(FileProblem::Read)?;
    let mut archive = tar::Archive::new(head.as_slice());
    let mut entries = archive.entries().map_err(|_| FileProblem::Other)?;
    let Some(Ok(mut entry)) = entries.next() else {
        return Err(FileProblem::Other);
    };
    if entry.path_bytes().as_ref() != MANIFEST.as_bytes() || entry.size() != MANIFEST_SIZE {
        return Err(FileProblem::Other);
    }
    let mut text = Vec::new();
    entry
        .read_to_end(&mut text)
        .map_err(|_| FileProblem::Other)?;
    // What another version writes may have another form, and says so.
    let said: serde_json::Value = serde_json::from_slice(&text).map_err(|_| FileProblem::Other)?;
    let manifest: Manifest =
        serde_json::from_value(said.clone()).map_err(|_| match said["version"].as_str() {
            Some(version) if version != env!("CARGO_PKG_VERSION") => of_version(version),
            _ => FileProblem::Other,
        })?;
    manifest.fits(architecture)?;
    let should = manifest.file_size();
    if has < should {
        return Err(FileProblem::CutOff { has, should });
    }
    if has > should {
        return Err(FileProblem::Damaged(format!(
            "it has {has} bytes and should have {should}"
        )));
    }
    Ok(manifest)
}

/// Reads all of a file of this size, and says what it is; nothing of it is used before.
pub fn check(mut file: impl Read, has: u64, architecture: &str) -> Result<Manifest, FileProblem> {
    let manifest = manifest(&mut file, has, architecture)?;
    for part in &manifest.parts {
        let entry = part.kind.entry();
        let mut given = EMPTY;
        file.read_exact(&mut given).map_err(FileProblem::Read)?;
        let wanted = header(entry, part.size).map_err(FileProblem::Read)?;
        if given != *wanted.as_bytes() {
            return Err(FileProblem::Damaged(format!(
                "`{entry}` does not begin as it should"
            )));
        }
        let mut content = Counted::new(file.by_ref().take(part.size));
        let inner = look_into(part, &manifest, &mut content);
        // The digest tells damage; what is found after it was meant so.
        io::copy(&mut content, &mut io::sink()).map_err(FileProblem::Read)?;
        if content.hex() != part.sha256 {
            return Err(FileProblem::Damaged(format!(
                "`{entry}` is not what was written"
            )));
        }
        inner?;
        let padding = part.size.next_multiple_of(BLOCK) - part.size;
        io::copy(&mut file.by_ref().take(padding), &mut io::sink()).map_err(FileProblem::Read)?;
    }
    Ok(manifest)
}

/// The beginning of a part's content in a file that was checked.
pub fn offset(manifest: &Manifest, kind: Kind) -> u64 {
    let entry = |size: u64| (size.div_ceil(BLOCK) + 1) * BLOCK;
    let before = manifest.parts.iter().take_while(|part| part.kind != kind);
    entry(MANIFEST_SIZE) + before.map(|part| entry(part.size)).sum::<u64>() + BLOCK
}

/// A part's tar archive, of a file that was checked and is read from the part's [`offset`] on.
pub fn open<F: Read>(file: F, manifest: &Manifest, kind: Kind) -> io::Result<impl Read + use<F>> {
    let part = manifest.parts.iter().find(|part| part.kind == kind);
    let part = part.ok_or_else(|| io::Error::other("the part is missing"))?;
    let packed = file.take(part.size);
    Ok(zstd::stream::read::Decoder::new(packed)?.take(part.unpacked))
}

/// What is unpacked stays below where it is unpacked, is no larger than it says, and an image has its own name alone.
fn look_into(part: &Part, manifest: &Manifest, content: impl Read) -> Result<(), FileProblem> {
    let entry = part.kind.entry();
    let odd = |what: &str| FileProblem::Damaged(format!("`{entry}` {what}"));
    let unreadable = |_: io::Error| odd("is no compressed tar archive");
    let unpacked = zstd::stream::read::Decoder::new(content).map_err(unreadable)?;
    let limit = part.unpacked.saturating_add(1);
    let mut unpacked = Counted::new(unpacked.take(limit));
    let mut named = part.kind != Kind::Image;
    let mut archive = tar::Archive::new(&mut unpacked);
    for found in archive.entries().map_err(unreadable)? {
        let mut found = found.map_err(unreadable)?;
        let stays = |path: &std::path::Path| {
            path.components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        let path = found.path().map_err(unreadable)?.into_owned();
        let link = if found.header().entry_type().is_hard_link() {
            found.link_name().map_err(unreadable)?
        } else {
            None
        };
        if !stays(&path) || link.is_some_and(|link| !stays(&link)) {
            return Err(odd(&format!(
                "leads out of its place with {}",
                path.display().to_string().escape_debug()
            )));
        }
        if part.kind == Kind::Image && path.as_os_str() == MANIFEST {
            let mut text = Vec::new();
            found
                .by_ref()
                .take(1 << 20)
                .read_to_end(&mut text)
                .map_err(unreadable)?;
            let said: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            let wanted = serde_json::json!([manifest.of.image]);
            let images = said.as_array().map(Vec::as_slice).unwrap_or_default();
            named = matches!(images, [image] if image["RepoTags"] == wanted);
        }
    }
    io::copy(&mut unpacked, &mut io::sink()).map_err(unreadable)?;
    if unpacked.size != part.unpacked {
        return Err(odd("is not of the size that it should have"));
    }
    if !named {
        return Err(odd("has other images than its own"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
