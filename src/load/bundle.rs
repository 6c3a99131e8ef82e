//! What one node is sent: an OCI layout with everything of the images that it does not have. PURE.

use super::archive::Compression;
use super::held::Held;
use super::image::{Descriptor, INDEX, Image, Layer, MANIFEST, Manifest};
use super::{ArchiveError, Content, Digest};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// A file of the layout that a node is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name in the layout.
    pub path: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Where the bytes of a part are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// Here.
    Here(Vec<u8>),
    /// In the spool file.
    Spooled {
        /// From this byte on.
        at: u64,
        /// So many.
        size: u64,
    },
}

impl Bytes {
    /// How many they are.
    pub fn size(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::Spooled { size, .. } => *size,
        }
    }
}

/// What one node is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The files, in order; none where the node has all.
    pub parts: Vec<Part>,
    /// The images that it did not have, by name, with their manifests.
    pub images: Vec<(String, Digest)>,
    /// The blobs that it must have in the end.
    pub blobs: BTreeSet<Digest>,
    /// How many layers are sent.
    pub layers: usize,
}

impl Bundle {
    /// What a node lacks of these images.
    pub fn new(images: &[Image], held: &Held) -> Result<Self, ArchiveError> {
        let mut bundle = Self::default();
        let mut sent = BTreeSet::new();
        let mut manifests = Vec::new();
        for image in images {
            let mut parts = Vec::new();
            let mut layers = Vec::new();
            for layer in &image.layers {
                let written = image.manifest == Manifest::Written;
                let known = there(layer, held).filter(|_| written);
                layers.push(if let Some((digest, size)) = known {
                    // In another compression it is another blob, which a manifest of ours may name. That it is called gzip
                    // only says that it must be looked at.
                    let compression = if layer.diff_id.as_ref() == Some(&digest) {
                        Compression::None
                    } else {
                        Compression::Gzip
                    };
                    Descriptor::layer(&digest, size, compression)
                } else {
                    let content = &layer.content;
                    if !held.has(&content.digest) {
                        parts.push((content.digest.clone(), spooled(content)?, true));
                    }
                    Descriptor::layer(&content.digest, content.size, content.compression)
                });
            }
            if !held.has(&image.config.digest) {
                let config = &image.config;
                parts.push((config.digest.clone(), spooled(config)?, false));
            }
            let mut descriptor = match &image.manifest {
                Manifest::Given {
                    media_type,
                    content,
                } => {
                    parts.push((content.digest.clone(), spooled(content)?, false));
                    Descriptor::new(media_type, &content.digest, content.size)
                }
                Manifest::Written => {
                    let manifest = json!({
                        "schemaVersion": 2,
                        "mediaType": MANIFEST,
                        "config": Descriptor::config(&image.config),
                        "layers": layers,
                    });
                    let bytes = manifest.to_string().into_bytes();
                    let digest = Digest::new(Sha256::digest(&bytes).into());
                    let size = bytes.len() as u64;
                    parts.push((digest.clone(), Bytes::Here(bytes), false));
                    Descriptor::new(MANIFEST, &digest, size)
                }
            };
            let Some(manifest) = Digest::parse(&descriptor.digest) else {
                continue;
            };
            let has = |name: &&String| held.names(name, &manifest);
            let missing: Vec<&String> = image.names.iter().filter(|name| !has(name)).collect();
            // The manifest is always among the parts: with nothing else, and the name there, nothing is to be done.
            if missing.is_empty() && parts.len() == 1 {
                continue;
            }
            for name in &image.names {
                descriptor.annotations =
                    [("io.containerd.image.name".to_owned(), name.clone())].into();
                manifests.push(descriptor.clone());
                bundle.images.push((name.clone(), manifest.clone()));
            }
            let layers = layers
                .iter()
                .filter_map(|layer| Digest::parse(&layer.digest));
            bundle.blobs.extend(layers);
            for (digest, bytes, is_layer) in parts {
                bundle.blobs.insert(digest.clone());
                if sent.insert(digest.clone()) {
                    bundle.layers += usize::from(is_layer);
                    let path = format!("blobs/sha256/{}", digest.hex());
                    bundle.parts.push(Part { path, bytes });
                }
            }
        }
        if !manifests.is_empty() {
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
            let layout = json!({ "imageLayoutVersion": "1.0.0" });
            for (path, value) in [("index.json", index), ("oci-layout", layout)] {
                bundle.parts.push(Part {
                    path: path.to_owned(),
                    bytes: Bytes::Here(value.to_string().into_bytes()),
                });
            }
        }
        Ok(bundle)
    }

    /// How many bytes are sent, without what the form adds.
    pub fn size(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.size()).sum()
    }
}

/// The blob that a node has of a layer.
fn there(layer: &Layer, held: &Held) -> Option<(Digest, u64)> {
    let diff_id = layer.diff_id.as_ref()?;
    let (digest, size) = held.layer(diff_id)?;
    Some((digest.clone(), size))
}

fn spooled(content: &Content) -> Result<Bytes, ArchiveError> {
    let missing = || ArchiveError::Missing(format!("blob {}", content.digest));
    Ok(Bytes::Spooled {
        at: content.at.ok_or_else(missing)?,
        size: content.size,
    })
}

#[cfg(test)]
mod tests;
