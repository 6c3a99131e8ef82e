//! `load`: images from the engine, or from an archive, into the nodes.

use super::bar::Bar;
use super::identity::Identity;
use super::kubectl::must_run;
use super::session::{self, Session};
use crate::cli::LoadArgs;
use crate::engine::{Engine, Found, State};
use crate::error::{Error, exit_code};
use crate::execute::{self, Times};
use crate::inventory::remedy;
use crate::load::{self, Archive, ArchiveError, Bundle, Digest, Held, Image};
use crate::report::{Event, Reporter, bytes};
use crate::signal;
use futures_util::{Stream, StreamExt, future};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;

/// Where the images come from.
#[derive(Clone, Debug)]
pub(super) enum From {
    /// From the engine, by name.
    Engine(Vec<String>),
    /// From a file, or from standard input.
    Archive(PathBuf),
    /// From a folder with a layout, in a volume that a container mounts.
    Volume {
        /// The container; it need not run.
        container: String,
        /// The folder.
        path: String,
        /// The images that are meant, of those that are there.
        names: BTreeSet<String>,
    },
}

/// What is needed to bring images into nodes.
pub(super) struct Loading<'a> {
    pub(super) engine: &'a Engine,
    /// The containers of the nodes that get them.
    pub(super) nodes: &'a [String],
    /// Where a large file may lie for a while.
    pub(super) directory: PathBuf,
    pub(super) reporter: &'a Reporter,
    pub(super) cancel: &'a CancellationToken,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Loaded {
    /// The bytes of the whole archive's files.
    whole: u64,
    /// The images' names.
    names: Vec<String>,
    /// How many different layers they have.
    layers: usize,
    /// For each node the layers and bytes that it was sent.
    nodes: Vec<(String, usize, u64)>,
}

/// `load`.
pub(super) async fn run(session: &Session, arguments: &LoadArgs) -> Result<u8, Error> {
    let began = Instant::now();
    let cancel = signal::watch(session.reporter.clone());
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let _lock = session.lock(&identity)?;
    let containers = identity.nodes(&engine).await?;
    let nodes = targets(&identity, &containers, &arguments.nodes, &session.reporter)?;
    session
        .reporter
        .started("load", Some(identity.names.context()));
    let from = match &arguments.archive {
        Some(path) => From::Archive(path.clone()),
        None => From::Engine(arguments.images.clone()),
    };
    let loading = Loading {
        engine: &engine,
        nodes: &nodes,
        directory: session.downloads(),
        reporter: &session.reporter,
        cancel: &cancel,
    };
    let mut times = Times::new();
    let loaded = loading.run(&from, &mut times).await?;
    session
        .reporter
        .finished(times, began.elapsed(), loaded.told());
    Ok(exit_code::OK)
}

/// The containers of the nodes that get images: those that were named must run, of all others those that do not are told.
pub(super) fn targets(
    identity: &Identity,
    containers: &[Found],
    named: &[String],
    reporter: &Reporter,
) -> Result<Vec<String>, Error> {
    if containers.is_empty() {
        return Err(identity.absent());
    }
    if !named.is_empty() {
        let mut nodes = Vec::new();
        for node in named {
            let found = identity.node(containers, node)?;
            must_run(identity, found)?;
            if !nodes.contains(&found.name) {
                nodes.push(found.name.clone());
            }
        }
        return Ok(nodes);
    }
    let runs = |found: &&Found| found.state == State::Running;
    let (running, resting): (Vec<&Found>, Vec<&Found>) = containers.iter().partition(runs);
    let Some(first) = resting.first() else {
        return Ok(names(&running));
    };
    if running.is_empty() {
        must_run(identity, first)?;
    }
    let command = remedy(containers).map_or("start", |(command, _)| command);
    reporter.warn(
        format!(
            "left out, as they do not run: {}",
            names(&resting).join(", ")
        ),
        Some(&format!(
            "`local-cluster{} {command}` brings them back; then load again",
            identity.flag()
        )),
    );
    Ok(names(&running))
}

fn names(containers: &[&Found]) -> Vec<String> {
    containers.iter().map(|found| found.name.clone()).collect()
}

/// What each of these nodes has.
pub(super) async fn ask(
    engine: &Engine,
    nodes: &[String],
    cancel: &CancellationToken,
) -> Result<Vec<Held>, Error> {
    future::try_join_all(nodes.iter().map(|node| ask_one(engine, node, cancel))).await
}

async fn ask_one(engine: &Engine, node: &str, cancel: &CancellationToken) -> Result<Held, Error> {
    let held = tokio::select! {
        held = load::ask(engine, node) => held,
        () = cancel.cancelled() => return Err(Error::Interrupted { after: String::new() }),
    };
    held.map_err(|source| Error::other(format!("see which images {node} has"), source))
}

impl Loading<'_> {
    /// Brings images into the nodes, in two stages: the archive is read, and each node is sent what it lacks of it.
    pub(super) async fn run(&self, from: &From, times: &mut Times) -> Result<Loaded, Error> {
        let reading = async {
            let total = self.total(from).await?;
            let held = ask(self.engine, self.nodes, self.cancel).await?;
            let facts = session::facts(self.engine).await?;
            let architecture = facts.go_architecture().to_owned();
            let (spool, images, whole) = self.read(from, total, held.clone(), architecture).await?;
            Ok((held, spool, images, whole))
        };
        let (held, spool, images, whole) =
            execute::stage("read", self.reporter, times, Box::pin(reading)).await?;
        let spool = Arc::new(spool);
        let sending = async {
            let nodes = self.nodes.iter().zip(&held);
            let sent = nodes.map(|(node, held)| self.send(node, &images, held, &spool));
            // All are waited for: what one node lacks is no reason to cut the others off.
            let sent = future::join_all(sent).await;
            sent.into_iter().collect::<Result<Vec<_>, Error>>()
        };
        let nodes = execute::stage("send", self.reporter, times, Box::pin(sending)).await?;
        let layers: BTreeSet<&Digest> = images
            .iter()
            .flat_map(|image| &image.layers)
            .map(|layer| &layer.content.digest)
            .collect();
        Ok(Loaded {
            whole,
            names: images
                .iter()
                .flat_map(|image| image.names.clone())
                .collect(),
            layers: layers.len(),
            nodes,
        })
    }

    /// How much will come, where that is known; that all images are there is looked at on the way.
    async fn total(&self, from: &From) -> Result<Option<u64>, Error> {
        match from {
            From::Archive(path) if path.as_os_str() == "-" => Ok(None),
            From::Volume { .. } => Ok(None),
            From::Archive(path) => Ok(std::fs::metadata(path).ok().map(|status| status.len())),
            From::Engine(names) => {
                let mut total = 0;
                for name in names {
                    if load::name::whole(name).is_none() {
                        return Err(Error::with_hint(
                            format!("`{name}` is no name of an image"),
                            "give the name that `docker images` shows, as in `my/app:1`",
                        ));
                    }
                    let size = self.engine.image_size(name).await;
                    let size = size
                        .map_err(|source| Error::other(format!("look at image {name}"), source))?;
                    total += size.ok_or_else(|| {
                        Error::with_hint(
                            format!("the engine has no image `{name}`"),
                            format!(
                                "`docker pull {name}` fetches it, `docker images` shows those that are there, and \
                                 `--archive FILE` takes one of a file"
                            ),
                        )
                    })?;
                }
                Ok(Some(total))
            }
        }
    }

    /// Reads the whole archive into a spool file that nobody else can open, and finds out what it has.
    async fn read(
        &self,
        from: &From,
        total: Option<u64>,
        held: Vec<Held>,
        architecture: String,
    ) -> Result<(File, Vec<Image>, u64), Error> {
        let doing = match from {
            From::Engine(names) => format!("read {} from the engine", names.join(", ")),
            From::Archive(path) if path.as_os_str() == "-" => "read standard input".to_owned(),
            From::Archive(path) => format!("read {}", path.display()),
            From::Volume { path, .. } => format!("read {path}"),
        };
        let folder = match from {
            From::Volume { path, .. } => path.rsplit('/').next().map(|name| format!("{name}/")),
            _ => None,
        }
        .unwrap_or_default();
        let only = match from {
            From::Volume { names, .. } => Some(names.clone()),
            _ => None,
        };
        let source: Box<dyn Read + Send> = match from {
            From::Archive(path) if path.as_os_str() == "-" => Box::new(std::io::stdin()),
            From::Archive(path) => {
                Box::new(File::open(path).map_err(|source| Error::other(doing.clone(), source))?)
            }
            From::Engine(names) => self.readable(self.engine.save_images(names)),
            From::Volume {
                container, path, ..
            } => self.readable(self.engine.download(container, path)),
        };
        let spool = spool(&self.directory)
            .map_err(|source| Error::other("make a file for the images", source))?;
        let mut bar = Bar::new(self.reporter, "images", total);
        let work = tokio::task::spawn_blocking(move || {
            let mut spool = spool;
            let everywhere = |digest: &Digest| held.iter().all(|held| held.has(digest));
            let mut whole = 0;
            let archive = Archive::read(source, &folder, &mut spool, everywhere, |passed| {
                whole = passed;
                bar.show(passed);
            });
            bar.finish();
            let mut images = load::images(&archive?, &mut spool, &architecture)?;
            if let Some(only) = only {
                images.retain(|image| image.names.iter().any(|name| only.contains(name)));
            }
            Ok::<_, ArchiveError>((spool, images, whole))
        });
        let read = tokio::select! {
            read = work => read,
            () = self.cancel.cancelled() => return Err(Error::Interrupted { after: String::new() }),
        };
        let read = read.map_err(|source| Error::other(doing.clone(), source))?;
        read.map_err(|source| refusal(from, doing, source))
    }

    /// A stream for a reader that waits, until the run is to end.
    fn readable(
        &self,
        stream: impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + 'static,
    ) -> Box<dyn Read + Send> {
        let stream = stream.take_until(self.cancel.clone().cancelled_owned());
        Box::new(SyncIoBridge::new(StreamReader::new(Box::pin(stream))))
    }

    /// Sends a node what it lacks. What its runtime has thrown away meanwhile it is sent once more.
    async fn send(
        &self,
        node: &str,
        images: &[Image],
        held: &Held,
        spool: &Arc<File>,
    ) -> Result<(String, usize, u64), Error> {
        let failed = |source| Error::other(format!("load the images into {node}"), source);
        let first = Bundle::new(images, held)
            .map_err(|source| Error::other(format!("load the images into {node}"), source))?;
        if first.parts.is_empty() {
            return Ok((node.to_owned(), 0, 0));
        }
        let Err(error) = self.import(node, &first, spool).await? else {
            return Ok((node.to_owned(), first.layers, first.size()));
        };
        let again = Bundle::new(images, &ask_one(self.engine, node, self.cancel).await?);
        match again {
            Ok(again) if !again.parts.is_empty() && again != first => {
                self.import(node, &again, spool).await?.map_err(failed)?;
                let size = first.size() + again.size();
                Ok((node.to_owned(), first.layers + again.layers, size))
            }
            _ => Err(failed(error)),
        }
    }

    async fn import(
        &self,
        node: &str,
        bundle: &Bundle,
        spool: &Arc<File>,
    ) -> Result<Result<(), crate::engine::EngineError>, Error> {
        let mut bar = Bar::new(self.reporter, node, Some(bundle.size()));
        let mut total = 0;
        let sending = load::send(self.engine, node, bundle, spool, move |bytes| {
            total += bytes;
            bar.show(total);
        });
        let sent = tokio::select! {
            sent = sending => sent,
            () = self.cancel.cancelled() => return Err(Error::Interrupted { after: "read".to_owned() }),
        };
        self.reporter.send(Event::ProgressFinished {
            item: node.to_owned(),
        });
        Ok(sent)
    }
}

impl Loaded {
    /// What is told at the end: a line a node.
    fn told(&self) -> Vec<String> {
        let names = self.names.join(", ");
        let mut lines = vec![format!("loaded {names}: {} in all", bytes(self.whole))];
        for (node, layers, sent) in &self.nodes {
            lines.push(match (layers, sent) {
                (_, 0) => format!("{node} had all of it"),
                (layers, sent) => format!(
                    "{node} was sent {layers} of {} layers, {}",
                    self.layers,
                    bytes(*sent)
                ),
            });
        }
        lines
    }
}

/// A file without a name, for as long as it is open.
fn spool(directory: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(directory)?;
    tempfile::tempfile_in(directory)
}

fn refusal(from: &From, doing: String, source: ArchiveError) -> Error {
    let hint = match (&source, from) {
        (ArchiveError::Compressed, From::Archive(path)) => format!(
            "give it without compression: `zcat {} | local-cluster load --archive -`",
            path.display()
        ),
        (ArchiveError::Image { problem, .. }, _) if problem.contains("no name") => {
            "save it by its name, as in `docker save my/app:1`".to_owned()
        }
        _ => return Error::other(doing, source),
    };
    Error::with_hint(format!("cannot {doing}: {source}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_of_each_node() {
        let loaded = Loaded {
            whole: 80_800_000,
            names: vec!["docker.io/me/five:2".to_owned()],
            layers: 5,
            nodes: vec![
                ("kube-master".to_owned(), 1, 20_000_000),
                ("kube-node-1".to_owned(), 0, 0),
            ],
        };
        assert_eq!(
            loaded.told(),
            [
                "loaded docker.io/me/five:2: 77.0 MiB in all",
                "kube-master was sent 1 of 5 layers, 19.0 MiB",
                "kube-node-1 had all of it",
            ]
        );
    }
}
