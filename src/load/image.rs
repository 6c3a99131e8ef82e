//! The images of an archive: what each is called, its configuration, its layers.

use super::archive::{Archive, ArchiveError, Compression, Content};
use super::{Digest, name};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Indexes in indexes: more than one in another nobody makes.
const DEEPEST: usize = 4;

/// An image of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The names that it gets, whole.
    pub names: BTreeSet<String>,
    /// How it is put together.
    pub manifest: Manifest,
    /// Its configuration.
    pub config: Content,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
}

/// How an image is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// The archive has a manifest, which goes on as it is.
    Given {
        /// Its media type.
        media_type: String,
        /// Itself.
        content: Content,
    },
    /// Docker's archives have none: it is written for each node, of the layers as that node has them.
    Written,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The digest of its bytes without compression; none where only its node will find out.
    pub diff_id: Option<Digest>,
    /// Its bytes as they came.
    pub content: Content,
}

/// What refers to a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing)]
    platform: Option<Platform>,
}

impl Descriptor {
    pub(super) fn new(media_type: impl Into<String>, digest: &Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest: digest.to_string(),
            size,
            annotations: BTreeMap::new(),
            platform: None,
        }
    }

    pub(super) fn config(config: &Content) -> Self {
        Self::new(CONFIG, &config.digest, config.size)
    }

    pub(super) fn layer(digest: &Digest, size: u64, compression: Compression) -> Self {
        let suffix = match compression {
            Compression::None => "",
            Compression::Gzip => "+gzip",
            Compression::Zstd => "+zstd",
        };
        Self::new(format!("{LAYER}{suffix}"), digest, size)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl Platform {
    fn is(&self, os: &str, architecture: &str) -> bool {
        self.os == os && self.architecture == architecture
    }

    fn is_none(&self) -> bool {
        self.is("unknown", "unknown")
    }
}

/// An entry of Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct OciManifest {
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// The images that an `index.json` lists by name, with the digests of their manifests.
pub fn listed(index: &[u8]) -> Result<BTreeMap<String, Digest>, serde_json::Error> {
    let index: Index = serde_json::from_slice(index)?;
    let listed = index.manifests.iter().filter_map(|descriptor| {
        let name = name::whole(&own_name(descriptor)?)?;
        Some((name, Digest::parse(&descriptor.digest)?))
    });
    Ok(listed.collect())
}

/// Reads an archive's table of contents. `architecture` is that of the nodes, as Go names it.
pub fn images(
    archive: &Archive,
    spool: &mut (impl Read + Seek),
    architecture: &str,
) -> Result<Vec<Image>, ArchiveError> {
    let mut reader = Reader {
        archive,
        spool,
        architecture,
    };
    let images = if archive.has("manifest.json") {
        reader.docker()?
    } else if archive.has("index.json") {
        let index: Index = reader.json("index.json")?;
        let mut images = Vec::new();
        for descriptor in reader.fitting(index, "index.json")? {
            reader.oci(&descriptor, &[], 0, &mut images)?;
        }
        images
    } else {
        return Err(ArchiveError::NotImages);
    };
    match images.iter().find(|image| image.names.is_empty()) {
        Some(image) => Err(ArchiveError::Image {
            image: image.config.digest.to_string(),
            problem: "it has no name, and nodes know images by name".to_owned(),
        }),
        None if images.is_empty() => Err(ArchiveError::NotImages),
        None => Ok(images),
    }
}

struct Reader<'a, S> {
    archive: &'a Archive,
    spool: &'a mut S,
    architecture: &'a str,
}

impl<S: Read + Seek> Reader<'_, S> {
    fn json<T: for<'de> Deserialize<'de>>(&mut self, name: &str) -> Result<T, ArchiveError> {
        let bytes = self.archive.bytes(name, self.spool)?;
        serde_json::from_slice(&bytes).map_err(|source| ArchiveError::Json {
            name: name.to_owned(),
            source,
        })
    }

    /// The form of `docker save`.
    fn docker(&mut self) -> Result<Vec<Image>, ArchiveError> {
        let listed: Vec<DockerImage> = self.json("manifest.json")?;
        listed.into_iter().map(|image| self.one(image)).collect()
    }

    fn one(&mut self, listed: DockerImage) -> Result<Image, ArchiveError> {
        let config = self.archive.content(&listed.config)?.clone();
        let names = listed.repo_tags.unwrap_or_default();
        let shown = names.first().unwrap_or(&listed.config).clone();
        let diff_ids = self.diff_ids(&listed.config, &shown)?;
        if diff_ids.len() != listed.layers.len() {
            return Err(ArchiveError::Image {
                image: shown,
                problem: format!(
                    "it has {} layers, and its configuration tells of {}",
                    listed.layers.len(),
                    diff_ids.len()
                ),
            });
        }
        let layer = |(file, diff_id): (&String, Digest)| {
            let content = self.archive.content(file)?.clone();
            // What is compressed can only be checked by unpacking it, which its node does.
            if content.compression == Compression::None && content.digest != diff_id {
                return Err(ArchiveError::Image {
                    image: shown.clone(),
                    problem: format!(
                        "layer `{file}` has the digest {}, and {diff_id} is expected: the archive is damaged",
                        content.digest
                    ),
                });
            }
            Ok(Layer {
                diff_id: Some(diff_id),
                content,
            })
        };
        let layers = listed
            .layers
            .iter()
            .zip(diff_ids)
            .map(layer)
            .collect::<Result<_, _>>()?;
        Ok(Image {
            names: whole(&names)?,
            manifest: Manifest::Written,
            config,
            layers,
        })
    }

    /// The diff ids of a configuration, which must be one for these nodes.
    fn diff_ids(&mut self, file: &str, shown: &str) -> Result<Vec<Digest>, ArchiveError> {
        let config: Config = self.json(file)?;
        let problem = |problem: String| ArchiveError::Image {
            image: shown.to_owned(),
            problem,
        };
        if config.os != "linux" || config.architecture != self.architecture {
            return Err(problem(format!(
                "it is for {}/{}, and the nodes are linux/{}",
                config.os, config.architecture, self.architecture
            )));
        }
        let diff_ids = config.rootfs.diff_ids.iter().map(|text| {
            Digest::parse(text).ok_or_else(|| problem(format!("`{text}` is no digest of a layer")))
        });
        diff_ids.collect()
    }

    /// Of each image of an index what is for these nodes; without a platform that may be anything.
    fn fitting(&self, index: Index, shown: &str) -> Result<Vec<Descriptor>, ArchiveError> {
        let mut images: BTreeMap<Option<String>, Vec<Descriptor>> = BTreeMap::new();
        for one in index.manifests {
            // What only tells how an image was made is listed beside it.
            if !one.platform.as_ref().is_some_and(Platform::is_none) {
                images.entry(own_name(&one)).or_default().push(one);
            }
        }
        let mut fitting = Vec::new();
        for (name, all) in images {
            let (fits, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| {
                let platform = one.platform.as_ref();
                platform.is_none_or(|platform| platform.is("linux", self.architecture))
            });
            if fits.is_empty() {
                let others = others.iter().filter_map(|one| one.platform.as_ref());
                let platforms: BTreeSet<String> = others
                    .map(|platform| format!("{}/{}", platform.os, platform.architecture))
                    .collect();
                let platforms: Vec<String> = platforms.into_iter().collect();
                return Err(ArchiveError::Image {
                    image: name.unwrap_or_else(|| shown.to_owned()),
                    problem: format!(
                        "it is for {}, and the nodes are linux/{}",
                        platforms.join(", "),
                        self.architecture
                    ),
                });
            }
            fitting.extend(fits);
        }
        Ok(fitting)
    }

    /// The form of an OCI layout: a manifest, or an index of which the nodes' platform is taken.
    fn oci(
        &mut self,
        descriptor: &Descriptor,
        names: &[String],
        depth: usize,
        found: &mut Vec<Image>,
    ) -> Result<(), ArchiveError> {
        let file = blob(&descriptor.digest)?;
        let mut all = names.to_vec();
        all.extend(own_name(descriptor));
        match descriptor.media_type.as_str() {
            INDEX | DOCKER_INDEX if depth < DEEPEST => {
                let index: Index = self.json(&file)?;
                let shown = all.first().unwrap_or(&descriptor.digest);
                let fitting = self.fitting(index, shown)?;
                if fitting.is_empty() {
                    return Err(ArchiveError::Image {
                        image: shown.clone(),
                        problem: "its index lists no image".to_owned(),
                    });
                }
                for one in &fitting {
                    self.oci(one, &all, depth + 1, found)?;
                }
                Ok(())
            }
            MANIFEST | DOCKER_MANIFEST => {
                let manifest: OciManifest = self.json(&file)?;
                let shown = all.first().unwrap_or(&descriptor.digest).clone();
                let config = blob(&manifest.config.digest)?;
                let diff_ids = self.diff_ids(&config, &shown)?;
                if diff_ids.len() != manifest.layers.len() {
                    return Err(ArchiveError::Image {
                        image: shown,
                        problem: "its manifest and its configuration have not as many layers"
                            .to_owned(),
                    });
                }
                let layers = manifest
                    .layers
                    .iter()
                    .zip(diff_ids)
                    .map(|(layer, diff_id)| {
                        let content = self.archive.content(&blob(&layer.digest)?)?.clone();
                        Ok(Layer {
                            diff_id: Some(diff_id),
                            content,
                        })
                    });
                let layers = layers.collect::<Result<_, ArchiveError>>()?;
                found.push(Image {
                    names: whole(&all)?,
                    manifest: Manifest::Given {
                        media_type: descriptor.media_type.clone(),
                        content: self.archive.content(&file)?.clone(),
                    },
                    config: self.archive.content(&config)?.clone(),
                    layers,
                });
                Ok(())
            }
            other => Err(ArchiveError::Image {
                image: all.first().unwrap_or(&descriptor.digest).clone(),
                problem: format!("`{other}` is no kind of image"),
            }),
        }
    }
}

/// The file of a blob. The digest is text from outside: only one that is understood becomes a name.
fn blob(digest: &str) -> Result<String, ArchiveError> {
    let digest = Digest::parse(digest).ok_or_else(|| ArchiveError::Name(digest.to_owned()))?;
    Ok(format!("blobs/sha256/{}", digest.hex()))
}

/// What an index calls an image: a tag alone is no name.
fn own_name(descriptor: &Descriptor) -> Option<String> {
    let annotation = |key| descriptor.annotations.get(key).cloned();
    annotation("io.containerd.image.name").or_else(|| {
        annotation("org.opencontainers.image.ref.name").filter(|name| name.contains([':', '/']))
    })
}

fn whole(names: &[String]) -> Result<BTreeSet<String>, ArchiveError> {
    let whole = names
        .iter()
        .map(|text| name::whole(text).ok_or_else(|| ArchiveError::Name(text.clone())));
    whole.collect()
}

#[cfg(test)]
mod tests;
