//! Archives for tests.

use super::archive::{Archive, ArchiveError};
use super::{Digest, Held, Image, images};
use sha2::{Digest as _, Sha256};
use std::io::Cursor;

pub(super) fn sha(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}

/// An entry: a file with its content, or a link with its target.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    File(String, Vec<u8>),
    Link(String, String),
}

/// Writes entries as they are, whatever their names: an honest writer would refuse some.
pub(super) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let (name, content, link) = match entry {
            Entry::File(name, content) => (name, content.as_slice(), None),
            Entry::Link(name, target) => (name, &[][..], Some(target)),
        };
        let mut header = ::tar::Header::new_gnu();
        let place = &mut header.as_old_mut().name;
        place[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(target) = link {
            header.set_entry_type(::tar::EntryType::Symlink);
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        }
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

pub(super) fn file(name: &str, content: impl AsRef<[u8]>) -> Entry {
    Entry::File(name.to_owned(), content.as_ref().to_vec())
}

pub(super) fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| sha(layer).to_string()).collect();
    serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
    .to_string()
    .into_bytes()
}

/// What `docker save` of Docker 20.10 writes.
pub(super) fn docker(name: &str, layers: &[&[u8]]) -> Vec<Entry> {
    let config = config(layers);
    let config_name = format!("{}.json", sha(&config).hex());
    let names: Vec<String> = (0..layers.len())
        .map(|at| format!("{at}/layer.tar"))
        .collect();
    let mut entries: Vec<Entry> = names
        .iter()
        .zip(layers)
        .map(|(name, layer)| file(name, layer))
        .collect();
    entries.push(file(&config_name, &config));
    let manifest =
        serde_json::json!([{ "Config": config_name, "RepoTags": [name], "Layers": names }]);
    entries.push(file("manifest.json", manifest.to_string()));
    entries
}

/// An OCI layout with one image.
pub(super) fn oci(name: &str, layers: &[&[u8]]) -> Vec<Entry> {
    let blob = |bytes: &[u8]| file(&format!("blobs/sha256/{}", sha(bytes).hex()), bytes);
    let config = config(layers);
    let descriptor = |kind: &str, bytes: &[u8]| serde_json::json!({ "mediaType": kind, "digest": sha(bytes).to_string(), "size": bytes.len() });
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer)).collect::<Vec<_>>(),
    })
    .to_string()
    .into_bytes();
    let mut top = descriptor(super::image::MANIFEST, &manifest);
    top["annotations"] = serde_json::json!({ "io.containerd.image.name": name });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [top] });
    let mut entries = vec![
        file("index.json", index.to_string()),
        blob(&manifest),
        blob(&config),
    ];
    entries.extend(layers.iter().map(|layer| blob(layer)));
    entries
}

pub(super) fn read(bytes: &[u8]) -> Result<(Archive, Cursor<Vec<u8>>), ArchiveError> {
    let mut spool = Cursor::new(Vec::new());
    let archive = Archive::read(bytes, "", &mut spool, |_| false, |_| {})?;
    Ok((archive, spool))
}

pub(super) fn images_of(entries: &[Entry]) -> Result<Vec<Image>, ArchiveError> {
    let (archive, mut spool) = read(&tar(entries))?;
    images(&archive, &mut spool, "amd64")
}

/// A node that has these blobs, each a layer without compression, and these images.
pub(super) fn holding(blobs: &[(Digest, u64)], images: &[(String, Digest)]) -> Held {
    let lines = |lines: Vec<String>| lines.concat();
    let images = images
        .iter()
        .map(|(name, digest)| format!("{name} type {digest} 1.0 MiB linux/amd64 -\n"));
    let listed = blobs
        .iter()
        .map(|(digest, _)| format!("{digest}\t1B\t1 day\tcontainerd.io/uncompressed={digest}\n"));
    let sizes = blobs
        .iter()
        .map(|(digest, size)| format!("{} {size}\n", digest.hex()));
    let answer = format!(
        "REF\n{}--\nDIGEST\n{}--\n{}",
        lines(images.collect()),
        lines(listed.collect()),
        lines(sizes.collect())
    );
    Held::read(&answer)
}
