//! Whether a file that somebody brings is a snapshot; nothing of it is used before, but to look whether its name is free.

use super::{
    BLOCK, Counted, EMPTY, FORMAT, FileProblem, Kind, MANIFEST, MANIFEST_SIZE, Manifest, Part,
    header,
};
use crate::cluster::{ClusterSpec, Names};
use crate::snapshot::name_fault;
use std::io::{self, Read};
use std::path::Component;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

impl Manifest {
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

/// Reads what a file of this size says of itself, without looking at its parts. Until [`check`] has said the
/// same, it is good for nothing but a refusal.
pub fn manifest(
    file: &mut impl Read,
    has: u64,
    architecture: &str,
) -> Result<Manifest, FileProblem> {
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
