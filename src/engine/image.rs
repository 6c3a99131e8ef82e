//! Images: looked up, imported, built, laid over, removed.

use super::error::Doing;
use super::{Engine, EngineError};
use bollard::models::ContainerConfig;
use bollard::query_parameters::{
    BuildImageOptions, CommitContainerOptions, CreateImageOptions, RemoveImageOptions,
    TagImageOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::collections::{BTreeMap, HashMap};
use tokio_util::sync::CancellationToken;

/// An image that is built from a context.
#[derive(Clone, Debug)]
pub struct Build {
    /// The tag that it gets.
    pub tag: String,
    /// The build context, a tar archive with a `Dockerfile`.
    pub context: Vec<u8>,
    /// Build arguments.
    pub arguments: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Engine {
    /// The labels of an image; none where there is no such image.
    pub async fn image_labels(
        &self,
        tag: &str,
    ) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        match self
            .docker
            .inspect_image(tag)
            .await
            .doing(|| format!("inspect image {tag}"))
        {
            Ok(image) => {
                let labels = image
                    .config
                    .and_then(|config| config.labels)
                    .unwrap_or_default();
                Ok(Some(labels.into_iter().collect()))
            }
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How large an image is, as the engine counts it; none where there is no such image.
    pub async fn image_size(&self, name: &str) -> Result<Option<u64>, EngineError> {
        let inspected = self.docker.inspect_image(name).await;
        match inspected.doing(|| format!("inspect image {name}")) {
            Ok(image) => Ok(Some(
                image
                    .size
                    .and_then(|size| size.try_into().ok())
                    .unwrap_or(0),
            )),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The images of these names as `docker save` writes them, in one archive.
    pub fn save_images(
        &self,
        names: &[String],
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<> {
        let action = format!("save image {}", names.join(", "));
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let parts = self.patient().export_images(&all);
        parts.map(move |part| part.doing(|| action.clone()).map_err(std::io::Error::other))
    }

    /// Pulls an image from a registry; `line` is told what is happening.
    pub async fn pull(
        &self,
        reference: &str,
        cancel: &CancellationToken,
        mut line: impl FnMut(&str),
    ) -> Result<(), EngineError> {
        let action = || format!("pull image {reference}");
        let options = CreateImageOptions {
            from_image: Some(reference.to_owned()),
            ..CreateImageOptions::default()
        };
        let mut pulling = std::pin::pin!(self.docker.create_image(Some(options), None, None));
        while let Some(part) = next(&mut pulling, cancel, action).await? {
            if let Some(status) = part.doing(action)?.status {
                line(&status);
            }
        }
        Ok(())
    }

    /// Makes an image of a root file system, a tar archive.
    pub async fn import_root(
        &self,
        repository: &str,
        tag: &str,
        archive: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let action = || format!("import image {repository}:{tag}");
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            changes: labels
                .iter()
                .map(|(name, value)| format!("LABEL {name}={value}"))
                .collect(),
            ..CreateImageOptions::default()
        };
        let docker = self.patient();
        let mut importing = std::pin::pin!(docker.create_image(
            Some(options),
            Some(bollard::body_try_stream(archive)),
            None
        ));
        while let Some(part) = importing.next().await {
            part.doing(action)?;
        }
        Ok(())
    }

    /// Builds an image with the classic builder; `line` is told each line of its output.
    pub async fn build(
        &self,
        build: Build,
        cancel: &CancellationToken,
        mut line: impl FnMut(&str),
    ) -> Result<(), EngineError> {
        let tag = build.tag;
        let action = || format!("build image {tag}");
        let options = BuildImageOptions {
            t: Some(tag.clone()),
            rm: true,
            forcerm: true,
            buildargs: Some(build.arguments.into_iter().collect()),
            labels: Some(build.labels.into_iter().collect()),
            ..BuildImageOptions::default()
        };
        let docker = self.patient();
        let context = bollard::body_full(build.context.into());
        let mut building = std::pin::pin!(docker.build_image(options, None, Some(context)));
        let mut output = Vec::new();
        while let Some(part) = next(&mut building, cancel, action).await? {
            match part {
                Ok(part) => {
                    for text in part
                        .stream
                        .iter()
                        .flat_map(|text| text.lines())
                        .filter(|text| !text.trim().is_empty())
                    {
                        line(text);
                        output.push(text.to_owned());
                    }
                }
                Err(source) => {
                    let tail = output.len().saturating_sub(20);
                    let mut output = output.split_off(tail);
                    output.push(source.to_string());
                    return Err(EngineError::Failed {
                        action: action(),
                        status: 1,
                        output,
                    });
                }
            }
        }
        Ok(())
    }

    /// Makes an image of a container's file system, with the image's own settings and further labels.
    pub async fn commit(
        &self,
        container: &str,
        repository: &str,
        tag: &str,
        labels: &BTreeMap<String, String>,
        entrypoint: &str,
    ) -> Result<(), EngineError> {
        let options = CommitContainerOptions {
            container: Some(container.to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            // The container's own entry point was the job's.
            changes: Some(format!("ENTRYPOINT [\"{entrypoint}\"]\nCMD []")),
            ..CommitContainerOptions::default()
        };
        let config = ContainerConfig {
            labels: Some(labels.clone().into_iter().collect::<HashMap<_, _>>()),
            ..ContainerConfig::default()
        };
        self.patient()
            .commit_container(options, config)
            .await
            .doing(|| format!("make image {repository}:{tag} of container {container}"))?;
        Ok(())
    }

    /// Gives an image a further tag.
    pub async fn tag(&self, reference: &str, tag: &str) -> Result<(), EngineError> {
        let (repository, version) = tag.rsplit_once(':').unwrap_or((tag, "latest"));
        let options = TagImageOptions {
            repo: Some(repository.to_owned()),
            tag: Some(version.to_owned()),
        };
        self.docker
            .tag_image(reference, Some(options))
            .await
            .doing(|| format!("tag image {reference} as {tag}"))
    }

    /// Removes an image's tag, and the image where it was the last; one that is not there is fine.
    pub async fn remove_image(&self, tag: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptions {
            force: false,
            noprune: false,
            ..RemoveImageOptions::default()
        };
        let removed = self.docker.remove_image(tag, Some(options), None).await;
        super::error::absent_is_fine(removed.map(|_| ()).doing(|| format!("remove image {tag}")))
    }
}

/// The next item of a stream, unless the wish to stop comes first: dropping the stream then ends the build or pull.
async fn next<S: Stream + Unpin>(
    stream: &mut S,
    cancel: &CancellationToken,
    action: impl Fn() -> String,
) -> Result<Option<S::Item>, EngineError> {
    tokio::select! {
        item = stream.next() => Ok(item),
        () = cancel.cancelled() => Err(EngineError::Interrupted { action: action() }),
    }
}
