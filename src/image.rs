//! The node image and what it is made of. PURE: which images, volumes and jobs a cluster needs, and their names, which
//! are digests over all that goes into them. Present means nothing to do.

pub mod base;
pub mod context;
pub mod mirror;

use crate::cluster::KubernetesVersion;
use crate::e2e::suite::BuiltSuite;
use crate::engine::Mount;
use crate::source::modules::{Component, components};
use base::BaseChoice;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The repository of every image that is made here.
pub const REPOSITORY: &str = "local-cluster";
/// The volume that keeps Go's caches and the programs that were built.
pub const CACHE_VOLUME: &str = "local-cluster-cache";
/// What the setting `image.preload` calls all images of Kubernetes' tests.
pub const PRELOAD_TESTS: &str = "e2e";
/// Where the cache volume is mounted in a job.
pub const CACHE_PATH: &str = "/cache";

/// Where the Kubernetes programs and images of a cluster come from, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Downloaded binaries; images pulled from a registry.
    Release {
        /// Base URL of the downloads.
        url: String,
        /// The registry's name, `http://` before it for one without TLS.
        registry: String,
    },
    /// Built from the released Go modules; images assembled of the programs.
    Modules,
}

impl Origin {
    /// The name of the source in the settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Release { .. } => "release",
            Self::Modules => "modules",
        }
    }
}

/// All that decides what the images contain.
#[derive(Clone, Debug)]
pub struct ImageInputs {
    /// The version of Kubernetes.
    pub version: KubernetesVersion,
    /// Where it comes from.
    pub origin: Origin,
    /// The root file system.
    pub base: BaseChoice,
    /// Further images to preload.
    pub preload: Vec<String>,
    /// The client's CA bundle, where it has one.
    pub ca_bundle: Option<Vec<u8>>,
}

/// A component with the folder of the cache volume in which its programs appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// What is built.
    pub component: Component,
    /// The folder's name below `/cache/out`.
    pub folder: String,
}

impl Programs {
    /// The folder's path in a job.
    pub fn path(&self) -> String {
        format!("{CACHE_PATH}/out/{}", self.folder)
    }
}

/// The images, volumes and jobs of one version of Kubernetes from one source, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlan {
    /// Root file system.
    pub base: String,
    /// Go and a C compiler.
    pub builder: String,
    /// Systemd and what the runtimes call.
    pub node_base: String,
    /// The node.
    pub node: String,
    /// The volume of unpacked images.
    pub preload: String,
    /// Built for the node image: the container runtime, and Kubernetes where it comes from modules.
    pub node_programs: Vec<Programs>,
    /// Built for the preloaded images alone.
    pub image_programs: Vec<Programs>,
    /// The tests of Kubernetes, where their images are preloaded.
    pub tests: Option<BuiltSuite>,
}

impl ImagePlan {
    /// Names everything. The same inputs give the same names; any change in what goes in gives others.
    pub fn new(inputs: &ImageInputs) -> Self {
        let base_key = digest(&[
            inputs.base.name.as_bytes(),
            inputs.base.sha256.as_deref().unwrap_or_default().as_bytes(),
            inputs
                .base
                .debian_mirror
                .as_deref()
                .unwrap_or_default()
                .as_bytes(),
        ]);
        let ca_bundle = inputs.ca_bundle.as_deref();
        let builder_key = digest(&[base_key.as_bytes(), &context::builder(ca_bundle)]);
        let node_base_key = digest(&[base_key.as_bytes(), &context::node(ca_bundle)]);

        // The client's authorities decide what a builder can fetch, and not what it makes of that.
        let built_by = digest(&[base_key.as_bytes(), &context::builder(None)]);

        let from_modules = inputs.origin == Origin::Modules;
        let programs = |for_images: bool| -> Vec<Programs> {
            components(inputs.version)
                .into_iter()
                .filter(|component| component.for_images == for_images)
                .filter(|component| from_modules || component.runtime)
                .map(|component| Programs {
                    folder: component.folder(&built_by),
                    component,
                })
                .collect()
        };
        let (node_programs, image_programs) = (programs(false), programs(true));
        let folders = |list: &[Programs]| {
            list.iter()
                .map(|programs| programs.folder.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        // A mirror may have other files under the same version, and nodes look there for images.
        let (url, mirror) = match &inputs.origin {
            Origin::Release { url, registry } => (url.as_str(), mirror::hosts_file(registry)),
            Origin::Modules => ("", None),
        };
        let (node_folders, version) = (folders(&node_programs), inputs.version.to_string());
        let mut node = vec![
            node_base_key.as_bytes(),
            node_folders.as_bytes(),
            inputs.origin.name().as_bytes(),
            url.as_bytes(),
            version.as_bytes(),
        ];
        node.extend(mirror.iter().map(|file| file.data.as_ref()));
        let node_key = digest(&node);
        let base = format!("{REPOSITORY}/base:{base_key}");
        let wants_tests = inputs.preload.iter().any(|name| name == PRELOAD_TESTS);
        let tests = wants_tests.then(|| BuiltSuite::new(inputs, &base, &built_by));
        let tests = tests.flatten();
        let (of_images, extras) = (folders(&image_programs), inputs.preload.join(" "));
        let mut preload = vec![node_key.as_bytes(), of_images.as_bytes(), extras.as_bytes()];
        preload.extend(tests.iter().map(|suite| suite.layout.as_bytes()));
        let preload_key = digest(&preload);
        Self {
            base,
            builder: format!("{REPOSITORY}/builder:{builder_key}"),
            node_base: format!("{REPOSITORY}/node-base:{node_base_key}"),
            node: format!("{REPOSITORY}/node:{version}-{node_key}"),
            preload: format!("{REPOSITORY}-preload-{version}-{preload_key}"),
            node_programs,
            image_programs,
            tests,
        }
    }

    /// The job that fills the preload volume; its container stays, and its exit status 0 says that the volume is whole.
    pub fn preload_job(&self) -> &str {
        &self.preload
    }
}

/// Twelve hexadecimal digits over parts, each with its length so that no two lists of parts read the same.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    crate::source::digest::hex(&hash.finalize()[..6])
}

/// The labels of a job's container.
pub fn job_labels(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(crate::engine::label::JOB.to_owned(), name.to_owned())])
}

/// The cache volume in a job.
pub fn cache_mount(read_only: bool) -> Mount {
    Mount {
        volume: CACHE_VOLUME.to_owned(),
        target: CACHE_PATH.to_owned(),
        read_only,
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
