//! The root file system below all images: pulled, unpacked from a tarball, or made from a Debian archive.

use crate::engine::{Engine, EngineError};
use crate::image::REPOSITORY;
use crate::settings::BaseKind;
use crate::source::digest::Expected;
use crate::source::download::{self, Download};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio_util::sync::CancellationToken;

/// The Debian release of all images.
const SUITE: &str = "trixie";
/// Debian's own image of it.
const REGISTRY_IMAGE: &str = "debian:trixie-slim";

/// A way to a root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Pulled by the engine.
    Registry(String),
    /// A tarball of the client's, with the digest that it must have.
    Tarball(PathBuf, Option<String>),
    /// A tarball that is downloaded, with the digest that it must have.
    Url(String, String),
    /// Made by `mmdebstrap` on the client; the mirror, or Debian's own.
    Archive(Option<String>),
}

impl std::fmt::Display for Way {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry(reference) => write!(formatter, "image `{reference}` from its registry"),
            Self::Tarball(path, _) => write!(formatter, "tarball {}", path.display()),
            Self::Url(url, _) => write!(formatter, "tarball {url}"),
            Self::Archive(_) => write!(formatter, "Debian's archive, by `mmdebstrap`"),
        }
    }
}

/// What the settings say of the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChoice {
    /// What `name` is.
    pub kind: BaseKind,
    /// The setting `image.base`.
    pub name: String,
    /// The digest that a tarball must have.
    pub sha256: Option<String>,
    /// The setting `image.debianMirror`.
    pub debian_mirror: Option<String>,
}

/// A base that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The engine refused it.
    #[error("cannot use {way} as the base of the node image")]
    Engine {
        /// The way that was tried.
        way: Way,
        /// Why.
        #[source]
        source: EngineError,
    },
    /// The tarball cannot be read.
    #[error("cannot read the tarball {}", .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The tarball is another one.
    #[error("the tarball {} has the SHA-256 digest {actual}, and {expected} was asked for", .path.display())]
    Digest {
        /// Its path.
        path: PathBuf,
        /// Asked for.
        expected: String,
        /// Found.
        actual: String,
    },
    /// The tarball cannot be downloaded.
    #[error("cannot download the base of the node image")]
    Download(#[source] download::DownloadError),
    /// `mmdebstrap` does not run.
    #[error("cannot run `mmdebstrap`")]
    Start(#[source] std::io::Error),
    /// `mmdebstrap` ran and failed.
    #[error("`mmdebstrap` failed with {status}:\n{}", .output.join("\n"))]
    Mmdebstrap {
        /// How it ended.
        status: String,
        /// The end of its output.
        output: Vec<String>,
    },
    /// No way works.
    #[error("no base for the node image can be had: {}", .0.iter().map(|(way, error)| format!("{way}: {error}")).collect::<Vec<_>>().join("; "))]
    None(Vec<(Way, String)>),
    /// The wish to stop came first.
    #[error("interrupted while making the base of the node image")]
    Interrupted,
}

impl BaseError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Start(_) | Self::None(_) => Some(
                "install the package `mmdebstrap`, or name an image or a root file system tarball with `--image-base`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// The ways to try, in order. PURE.
pub fn ways(base: &BaseChoice) -> Vec<Way> {
    let archive = Way::Archive(base.debian_mirror.clone());
    match base.kind {
        BaseKind::Auto => vec![Way::Registry(REGISTRY_IMAGE.to_owned()), archive],
        BaseKind::Archive => vec![archive],
        // The settings ask for the digest of what is downloaded.
        BaseKind::Url => vec![Way::Url(
            base.name.clone(),
            base.sha256.clone().unwrap_or_default(),
        )],
        BaseKind::Path => vec![Way::Tarball(PathBuf::from(&base.name), base.sha256.clone())],
        BaseKind::Reference => vec![Way::Registry(base.name.clone())],
    }
}

/// Gets the base by the first way that works, and says which. Nothing to do where `tag` is there.
pub async fn obtain(
    engine: &Engine,
    tag: &str,
    ways: &[Way],
    downloads: &Path,
    cancel: &CancellationToken,
    mut line: impl FnMut(&str) + Send,
) -> Result<Way, BaseError> {
    let mut failures = Vec::new();
    for way in ways {
        line(&format!("trying {way}"));
        match try_way(engine, tag, way, downloads, cancel, &mut line).await {
            Ok(()) => return Ok(way.clone()),
            Err(error) if ways.len() == 1 => return Err(error),
            Err(
                error @ (BaseError::Interrupted
                | BaseError::Engine {
                    source: EngineError::Interrupted { .. },
                    ..
                }),
            ) => {
                return Err(error);
            }
            Err(error) => {
                let text = crate::error::in_one_line(&error);
                line(&text);
                failures.push((way.clone(), text));
            }
        }
    }
    Err(BaseError::None(failures))
}

async fn try_way(
    engine: &Engine,
    tag: &str,
    way: &Way,
    downloads: &Path,
    cancel: &CancellationToken,
    line: &mut (impl FnMut(&str) + Send),
) -> Result<(), BaseError> {
    let refused = |source| BaseError::Engine {
        way: way.clone(),
        source,
    };
    match way {
        Way::Registry(reference) => {
            let was_there = engine
                .image_labels(reference)
                .await
                .map_err(refused)?
                .is_some();
            if !was_there {
                engine
                    .pull(reference, cancel, &mut *line)
                    .await
                    .map_err(refused)?;
            }
            engine.tag(reference, tag).await.map_err(refused)?;
            if !was_there {
                // What was not there before goes with our own tag.
                engine.remove_image(reference).await.map_err(refused)?;
            }
            Ok(())
        }
        Way::Tarball(path, sha256) => {
            if let Some(expected) = sha256 {
                check_digest(path, expected).await?;
            }
            let file = tokio::fs::File::open(path)
                .await
                .map_err(|source| BaseError::Read {
                    path: path.clone(),
                    source,
                })?;
            import(engine, tag, file).await.map_err(refused)
        }
        Way::Url(url, sha256) => {
            let client = download::client().map_err(BaseError::Download)?;
            let file = downloads.join(format!("base-{sha256}"));
            let wanted = Download {
                url: url.clone(),
                file: file.clone(),
                expected: Expected::Sha256(sha256.clone()),
                item: "base".to_owned(),
            };
            let progress = |_: u64, _: Option<u64>| {};
            download::fetch(&client, &wanted, &progress, cancel)
                .await
                .map_err(BaseError::Download)?;
            let file = tokio::fs::File::open(&file)
                .await
                .map_err(|source| BaseError::Read { path: file, source })?;
            import(engine, tag, file).await.map_err(refused)
        }
        Way::Archive(mirror) => mmdebstrap(engine, tag, mirror.as_deref(), way, cancel, line).await,
    }
}

async fn import(
    engine: &Engine,
    tag: &str,
    archive: impl tokio::io::AsyncRead + Send + 'static,
) -> Result<(), EngineError> {
    let (repository, version) = tag.rsplit_once(':').unwrap_or((REPOSITORY, tag));
    engine
        .import_root(
            repository,
            version,
            tokio_util::io::ReaderStream::new(archive),
            &BTreeMap::new(),
        )
        .await
}

async fn check_digest(path: &Path, expected: &str) -> Result<(), BaseError> {
    let unreadable = |source| BaseError::Read {
        path: path.to_owned(),
        source,
    };
    let actual = crate::source::digest::sha256_of(path)
        .await
        .map_err(unreadable)?;
    if actual.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(BaseError::Digest {
        path: path.to_owned(),
        expected: expected.to_owned(),
        actual,
    })
}

/// Debian's own tool streams the new root file system straight into the engine.
async fn mmdebstrap(
    engine: &Engine,
    tag: &str,
    mirror: Option<&str>,
    way: &Way,
    cancel: &CancellationToken,
    line: &mut (impl FnMut(&str) + Send),
) -> Result<(), BaseError> {
    use tokio::io::AsyncBufReadExt;
    let mut command = tokio::process::Command::new("mmdebstrap");
    command
        .args(["--variant=minbase", "--format=tar", SUITE, "-"])
        .args(mirror);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(BaseError::Start)?;
    let output = child.stdout.take().expect("standard output is piped");
    let mut messages =
        tokio::io::BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
    let mut kept = Vec::new();
    let reading = async {
        while let Ok(Some(message)) = messages.next_line().await {
            line(&message);
            kept.push(message);
        }
    };
    let imported = tokio::select! {
        (imported, ()) = async { tokio::join!(import(engine, tag, output), reading) } => imported,
        () = cancel.cancelled() => return Err(BaseError::Interrupted),
    };
    let status = child.wait().await.map_err(BaseError::Start)?;
    if !status.success() {
        // The engine has taken what came as a whole root file system.
        engine
            .remove_image(tag)
            .await
            .map_err(|source| BaseError::Engine {
                way: way.clone(),
                source,
            })?;
        let tail = kept.len().saturating_sub(10);
        return Err(BaseError::Mmdebstrap {
            status: status.to_string(),
            output: kept.split_off(tail),
        });
    }
    imported.map_err(|source| BaseError::Engine {
        way: way.clone(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(kind: BaseKind, name: &str) -> Vec<Way> {
        let (sha256, debian_mirror) = (Some("00".to_owned()), Some("http://m".to_owned()));
        ways(&BaseChoice {
            kind,
            name: name.to_owned(),
            sha256,
            debian_mirror,
        })
    }

    #[test]
    fn the_setting_names_the_ways() {
        let archive = Way::Archive(Some("http://m".to_owned()));
        assert_eq!(
            tried(BaseKind::Auto, "auto"),
            [Way::Registry(REGISTRY_IMAGE.to_owned()), archive.clone()]
        );
        assert_eq!(tried(BaseKind::Archive, "archive"), [archive]);
        assert_eq!(
            tried(BaseKind::Path, "/a.tar"),
            [Way::Tarball("/a.tar".into(), Some("00".to_owned()))]
        );
        assert_eq!(
            tried(BaseKind::Reference, "r/debian:13"),
            [Way::Registry("r/debian:13".to_owned())]
        );
    }
}
