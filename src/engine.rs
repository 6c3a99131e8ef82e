//! The Docker engine: the only room that names bollard. Its verbs are in our language.

#![expect(
    clippy::disallowed_types,
    reason = "this room is the one that talks to the engine"
)]

mod container;
mod error;
mod exec;
mod image;
mod inspect;
mod job;
pub mod label;
mod object;
mod rights;
mod stream;

pub use container::{Mount, NodeContainer, Program, Publish};
pub use error::EngineError;
pub use exec::{Executed, Terminal};
pub use image::Build;
pub use inspect::Object;
pub use job::{HOST_NETWORK, Job, NO_NETWORK};
pub use object::{Found, Network, Published, State};
pub use rights::Rights;

use bollard::Docker;
use error::Doing;
use std::time::Duration;

/// The oldest API that is known to work: Docker 19.03.
const OLDEST_API: (u32, u32) = (1, 40);

/// Uploads answer only after the whole body was read, which bollard's two minutes would cut off.
const UPLOAD_TIMEOUT: Duration = Duration::from_hours(1);

/// A connection to one Docker engine. Clones share it.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
}

/// What the engine says of itself and of its host.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What tells it from all other engines; nothing where it does not tell.
    pub id: String,
    /// Docker's version, as in `20.10.24`.
    pub version: String,
    /// `overlay2`, `btrfs`...
    pub storage_driver: String,
    /// Cgroups of the host are of version 1 (or hybrid).
    pub cgroup_v1: bool,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// Where the engine keeps its data, on its own host.
    pub data_root: String,
    /// Options like `name=seccomp,profile=default` or `name=rootless`.
    pub security_options: Vec<String>,
    /// The file system below the data root, where the engine tells.
    pub backing_filesystem: Option<String>,
}

impl Facts {
    /// The architecture as Go and Kubernetes' downloads name it.
    pub fn go_architecture(&self) -> &str {
        match self.architecture.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    }
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, else to the local one, and checks that it answers and is not
    /// too old.
    pub async fn connect() -> Result<Self, EngineError> {
        let host = std::env::var("DOCKER_HOST")
            .unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let unreachable = |source| EngineError::Unreachable {
            host: host.clone(),
            source,
        };
        let docker = Docker::connect_with_defaults().map_err(unreachable)?;
        let version = docker.version().await.map_err(unreachable)?;
        let api = version.api_version.unwrap_or_default();
        let found = parse_api(&api).ok_or_else(|| EngineError::NotDocker { host: host.clone() })?;
        if found < OLDEST_API {
            return Err(EngineError::TooOld {
                version: version.version.unwrap_or_default(),
                api,
                oldest: format!("{}.{}", OLDEST_API.0, OLDEST_API.1),
            });
        }
        Ok(Self { docker })
    }

    /// Wraps a client that is connected elsewhere: the tests' way in.
    pub fn from_address(address: &str) -> Result<Self, EngineError> {
        let docker = Docker::connect_with_http(address, 10, bollard::API_DEFAULT_VERSION).map_err(
            |source| EngineError::Unreachable {
                host: address.to_owned(),
                source,
            },
        )?;
        Ok(Self { docker })
    }

    /// What the engine says of itself.
    pub async fn facts(&self) -> Result<Facts, EngineError> {
        let info = self
            .docker
            .info()
            .await
            .doing(|| "ask the engine about itself".to_owned())?;
        let backing_filesystem =
            info.driver_status
                .iter()
                .flatten()
                .find_map(|pair| match pair.as_slice() {
                    [key, value] if key == "Backing Filesystem" => Some(value.clone()),
                    _ => None,
                });
        Ok(Facts {
            id: info.id.unwrap_or_default(),
            version: info.server_version.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            cgroup_v1: info
                .cgroup_version
                .is_none_or(|version| version.to_string() != "2"),
            architecture: info.architecture.unwrap_or_default(),
            memory: info
                .mem_total
                .and_then(|bytes| bytes.try_into().ok())
                .unwrap_or(0),
            data_root: info.docker_root_dir.unwrap_or_default(),
            security_options: info.security_options.unwrap_or_default(),
            backing_filesystem,
        })
    }

    /// A client for calls whose answer comes only after a long body was sent.
    fn patient(&self) -> Docker {
        self.docker.clone().with_timeout(UPLOAD_TIMEOUT)
    }
}

fn parse_api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_versions_compare_as_numbers() {
        assert!(parse_api("1.9").unwrap() < OLDEST_API);
        assert!(parse_api("1.41").unwrap() >= OLDEST_API);
        assert_eq!(parse_api("one"), None);
    }
}
