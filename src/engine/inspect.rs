//! What the engine says of its objects, whole: for people, not for decisions.

use super::error::Doing;
use super::{Engine, EngineError};
use bollard::query_parameters::{InspectNetworkOptions, LogsOptions, StatsOptions, TopOptions};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// Something that the engine can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object<'a> {
    /// The engine and its host.
    Engine,
    /// The engine's version, and those of its parts.
    Version,
    /// A container.
    Container(&'a str),
    /// What a container uses of the host.
    Use(&'a str),
    /// A container's processes, as the host sees them.
    Processes(&'a str),
    /// A network.
    Network(&'a str),
    /// A volume.
    Volume(&'a str),
    /// An image.
    Image(&'a str),
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => formatter.write_str("the engine"),
            Self::Version => formatter.write_str("the engine's version"),
            Self::Container(name) => write!(formatter, "container {name}"),
            Self::Use(name) => write!(formatter, "what container {name} uses"),
            Self::Processes(name) => write!(formatter, "the processes of container {name}"),
            Self::Network(name) => write!(formatter, "network {name}"),
            Self::Volume(name) => write!(formatter, "volume {name}"),
            Self::Image(name) => write!(formatter, "image {name}"),
        }
    }
}

fn value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_else(|error| Value::String(error.to_string()))
}

impl Engine {
    /// All that the engine says of an object.
    pub async fn inspect(&self, object: Object<'_>) -> Result<Value, EngineError> {
        let docker = &self.docker;
        let found = match object {
            Object::Engine => docker.info().await.map(|found| value(&found)),
            Object::Version => docker.version().await.map(|found| value(&found)),
            Object::Container(name) => docker
                .inspect_container(name, None)
                .await
                .map(|found| value(&found)),
            Object::Use(name) => {
                let options = StatsOptions {
                    stream: false,
                    one_shot: true,
                };
                match docker.stats(name, Some(options)).next().await {
                    Some(found) => found.map(|found| value(&found)),
                    None => Ok(Value::Null),
                }
            }
            Object::Processes(name) => docker
                .top_processes(name, None::<TopOptions>)
                .await
                .map(|found| value(&found)),
            Object::Network(name) => docker
                .inspect_network(name, None::<InspectNetworkOptions>)
                .await
                .map(|found| value(&found)),
            Object::Volume(name) => docker.inspect_volume(name).await.map(|found| value(&found)),
            Object::Image(name) => docker.inspect_image(name).await.map(|found| value(&found)),
        };
        found.doing(|| format!("inspect {object}"))
    }

    /// What a container itself has printed, the newest lines of it.
    pub async fn output(
        &self,
        container: &str,
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<(), EngineError> {
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            timestamps: true,
            tail: "20000".to_owned(),
            ..LogsOptions::default()
        };
        let mut output = self.docker.logs(container, Some(options));
        while let Some(part) = output.next().await {
            let part = part.doing(|| format!("read what {container} has printed"))?;
            take(&part.into_bytes());
        }
        Ok(())
    }
}
