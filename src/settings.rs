//! Settings: what can be chosen, and where each choice comes from.
//!
//! Five layers, each above the one before: `config/defaults.yaml`, the configuration file, the
//! variables of `kubeadm-dind-cluster`, the `K8S_DIND_` variables, the flags. Every value that is
//! given is checked, also one that a higher layer hides, and all problems are told at once; `figment`
//! stops at the first and knows no lines. It then puts the layers on each other.

mod check;
pub mod document;
mod layers;
mod merge;
mod nearest;
pub mod problem;
pub mod reference;
mod setting;
pub mod table;
mod value;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use crate::cli::SettingFlags;
pub use crate::cluster::CniPlugin;
pub use problem::{Origin, Problem, Problems};

/// The commented file that has all defaults, and is the source of them.
pub const DEFAULTS: &str = include_str!("../config/defaults.yaml");

/// The JSON schema of the configuration file.
pub const SCHEMA: &str = include_str!("../config/schema.json");

/// The variable that names another configuration file.
pub const FILE_VARIABLE: &str = "LOCAL_CLUSTER_CONF";

/// All settings. Their texts are in [`table::SETTINGS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Verbosity, 0 to 9.
    pub verbose: u8,
    /// Of the nodes' networks.
    pub dind: Dind,
    /// Where Kubernetes comes from.
    pub source: Source,
    /// Of the cluster.
    pub cluster: Cluster,
    /// Of the node image.
    pub image: Image,
    /// Of the kubeconfig.
    pub kubeconfig: Kubeconfig,
}

/// Settings of the nodes' networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dind {
    /// The pool that clusters take their networks from.
    pub subnet: Ipv4Network,
}

/// Where Kubernetes comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The kind of source.
    pub kind: SourceKind,
    /// What was asked for; empty for the pinned, tested release.
    #[serde(deserialize_with = "empty_or_text")]
    pub kubernetes_version: String,
    /// Where the binaries of releases are.
    pub release_url: String,
    /// Where the images of releases are; `http://` before it says that it is plain.
    pub image_registry: String,
    /// What the Go tools take as `GOPROXY`.
    pub go_proxy: Option<String>,
}

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The first that works.
    Auto,
    /// Binaries and images of a release.
    Release,
    /// Built from released Go modules.
    Modules,
}

/// Settings of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its number.
    pub id: Option<u8>,
    /// Its name, in place of `cluster-N`.
    pub label: Option<String>,
    /// How many workers.
    pub num_nodes: u16,
    /// How many masters.
    pub num_masters: u16,
    /// Whether pods may run on the master although there are workers.
    pub no_dedicated: bool,
    /// Neither keep the state of a new cluster nor bring it back from there.
    pub skip_snapshot: bool,
    /// etcd does not wait for the disk.
    pub unsafe_fast: bool,
    /// The port that the API server is published on.
    pub api_server_port: Option<u16>,
    /// The address that the API server is published on.
    pub api_server_address: Ipv4Addr,
    /// The CNI plugin.
    pub cni_plugin: CniPlugin,
    /// The pods' addresses.
    pub pod_subnet: Ipv4Network,
    /// The services' addresses.
    pub service_subnet: Ipv4Network,
}

/// Settings of the node image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// What it is made on; [`Image::base_kind`] says of which kind it is.
    pub base: String,
    /// The digest of a tarball.
    pub base_sha256: Option<String>,
    /// The Debian archive for packages.
    pub debian_mirror: Option<String>,
    /// More images to assemble and to have in every node.
    pub preload: Vec<String>,
}

/// What [`Image::base`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseKind {
    /// The first of the others that works.
    Auto,
    /// Made from a Debian archive.
    Archive,
    /// An image's name.
    Reference,
    /// The path of a tarball.
    Path,
    /// The URL of a tarball.
    Url,
}

impl Image {
    /// What the base is, by its looks.
    pub fn base_kind(&self) -> BaseKind {
        value::base_kind(&self.base)
    }
}

/// Settings of the kubeconfig.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kubeconfig {
    /// Whether the user's own kubeconfig gets the cluster, too.
    pub merge: bool,
}

/// The settings in effect and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Each setting's value and origin, in the table's order.
    pub origins: Vec<SettingOrigin>,
    /// The configuration file that was read, if there is one.
    pub file: Option<PathBuf>,
}

/// Where a setting's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingOrigin {
    /// The dotted name of the setting.
    pub name: &'static str,
    /// The value as text; empty if there is none.
    pub value: String,
    /// `default`, `file PATH:LINE`, `environment NAME` or `flag --NAME`.
    pub origin: String,
}

/// Puts all layers together.
///
/// `home` is the tool's own directory, as [`home_directory`] finds it.
pub fn load(
    flags: &SettingFlags,
    environment: &BTreeMap<String, String>,
    home: Option<&Path>,
) -> Result<Loaded, Problems> {
    let file = layers::read_file(environment, home)?;
    let (given, problems) = layers::all(file.as_ref(), environment, flags);
    Problems(problems).or_none()?;
    let settings = merge::merge(&given)?;
    Problems(check::together(&settings, &given)).or_none()?;
    Ok(Loaded {
        settings,
        origins: merge::origins(&given),
        file: file.map(|file| file.path),
    })
}

/// The tool's own directory: `~/.kubeadm-local-cluster`.
pub fn home_directory(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let home = environment.get("HOME").filter(|home| !home.is_empty())?;
    Some(Path::new(home).join(".kubeadm-local-cluster"))
}

/// The configuration file, whether it is there or not.
pub fn file_path(environment: &BTreeMap<String, String>, home: Option<&Path>) -> Option<PathBuf> {
    match environment
        .get(FILE_VARIABLE)
        .filter(|path| !path.is_empty())
    {
        Some(path) => Some(PathBuf::from(path)),
        None => home.map(|home| home.join("config.yaml")),
    }
}

/// No value at all is the empty text.
fn empty_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
