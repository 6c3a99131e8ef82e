//! Collects all that can be known of a cluster, side by side, each within its time. What cannot be had is told in the
//! index, and ends nothing.

mod objects;
mod stopped;

use super::frames::{Frame, Frames};
use super::index::Failure;
use super::items::{self, Batch};
use super::name::part;
use super::spool::{Sink, Spool, is_about_one};
use crate::cluster::Role;
use crate::engine::{Engine, Found, Object, State, label};
use crate::error::in_one_line;
use crate::inventory::{is_load_balancer, is_master, word};
use crate::plan::snapshot::is_aside;
use futures_util::future;
use futures_util::stream::{self, StreamExt};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// So many looks at once in one node, and in all of them.
const AT_ONCE: usize = 6;
const AT_ONCE_IN_ALL: usize = 24;
/// How long the engine may take over one object.
const ENGINE: Duration = Duration::from_secs(5);
/// How long the files of a node may take.
const FILES: Duration = Duration::from_secs(8);

/// What belongs to a cluster.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its containers: nodes, and the load balancer before several masters.
    pub nodes: Vec<Found>,
    /// The names of its networks.
    pub networks: Vec<String>,
    /// The names of its volumes, and of those that it shares with others.
    pub volumes: Vec<String>,
}

/// A collection that is under way.
#[derive(Debug)]
pub struct Collection<'a> {
    engine: &'a Engine,
    spool: Arc<Spool>,
    deadline: Instant,
    gate: Semaphore,
    /// Nobody waits for it any more.
    cancel: CancellationToken,
    failures: Mutex<Vec<Failure>>,
    /// Why nothing more can be written.
    broken: Mutex<Option<io::Error>>,
}

/// The name of a node in Kubernetes, or else of its container: as in a restore, where two are the same node.
pub fn node_name(node: &Found) -> &str {
    let name = node.labels.get(label::NODE);
    name.filter(|_| !is_aside(&node.name)).unwrap_or(&node.name)
}

impl<'a> Collection<'a> {
    /// One that has to be over after this time, and when it is cancelled: then what it has made is removed.
    pub fn new(
        engine: &'a Engine,
        spool: Arc<Spool>,
        limit: Duration,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            engine,
            spool,
            deadline: Instant::now() + limit,
            gate: Semaphore::new(AT_ONCE_IN_ALL),
            cancel,
            failures: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    /// Collects all of it. Only where it cannot be written is that an error.
    pub async fn run(self, subject: &Subject) -> io::Result<Vec<Failure>> {
        let nodes = future::join_all(subject.nodes.iter().map(|node| self.node(node)));
        let objects = objects::collect(&self, &subject.nodes);
        future::join3(nodes, self.engine_objects(subject), objects).await;
        if let Some(error) = self
            .broken
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            return Err(error);
        }
        let mut failures = self
            .failures
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        failures.sort();
        failures.dedup();
        Ok(failures)
    }

    fn failed(&self, path: &str, why: impl Into<String>) {
        let failure = Failure {
            path: path.to_owned(),
            why: super::redact::redacted(&why.into()).trim_end().to_owned(),
        };
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(failure);
    }

    fn broke(&self, error: io::Error) {
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }

    fn is_broken(&self) -> bool {
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Waits for something for so long, and not beyond the end of all.
    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, String> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err("there was no time left for it".to_owned());
        }
        let limit = limit.min(self.deadline - now);
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err("it was interrupted".to_owned()),
            ended = tokio::time::timeout(limit, work) => {
                ended.map_err(|_| format!("cut off after {:.0} s", limit.as_secs_f64()))
            }
        }
    }

    /// Fills a file within its time. What has come of it stays.
    async fn file(
        &self,
        path: &str,
        limit: Duration,
        fill: impl AsyncFnOnce(&mut Sink<'_>) -> Result<(), String>,
    ) {
        let Ok(_turn) = self.gate.acquire().await else {
            return;
        };
        if self.is_broken() {
            return;
        }
        let mut sink = match self.spool.file(path) {
            Ok(sink) => sink,
            Err(error) => return self.unwritten(path, error),
        };
        let filled = self
            .within(limit, fill(&mut sink))
            .await
            .and_then(|filled| filled);
        self.ended(path, sink, filled.err());
    }

    /// Ends a file, and tells what it lacks.
    fn ended(&self, path: &str, sink: Sink<'_>, failure: Option<String>) {
        let has_failed = failure.is_some();
        if let Some(why) = failure {
            self.failed(path, why);
        }
        match sink.finish(has_failed) {
            Ok(false) => {}
            Ok(true) => self.failed(path, "it is too long: the end is left out"),
            Err(error) => self.unwritten(path, error),
        }
    }

    /// A file that could not be written: for itself, or for the disk.
    fn unwritten(&self, path: &str, error: io::Error) {
        if is_about_one(&error) {
            self.failed(path, error.to_string());
        } else {
            self.broke(error);
        }
    }

    /// What the engine says of the cluster's objects.
    async fn engine_objects(&self, subject: &Subject) {
        let mut wanted = vec![
            ("engine/info.json".to_owned(), Object::Engine),
            ("engine/version.json".to_owned(), Object::Version),
        ];
        for node in &subject.nodes {
            let name = part(&node.name);
            wanted.push((
                format!("engine/containers/{name}.json"),
                Object::Container(&node.name),
            ));
            wanted.push((
                format!("engine/images/{}.json", part(&node.image)),
                Object::Image(&node.image),
            ));
            if node.state == State::Running {
                wanted.push((format!("engine/use/{name}.json"), Object::Use(&node.name)));
                wanted.push((
                    format!("engine/processes/{name}.json"),
                    Object::Processes(&node.name),
                ));
            }
        }
        for name in &subject.networks {
            wanted.push((
                format!("engine/networks/{}.json", part(name)),
                Object::Network(name),
            ));
        }
        for name in &subject.volumes {
            wanted.push((
                format!("engine/volumes/{}.json", part(name)),
                Object::Volume(name),
            ));
        }
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        wanted.dedup_by(|a, b| a.0 == b.0);
        let objects =
            stream::iter(wanted).for_each_concurrent(AT_ONCE, |(path, object)| async move {
                self.file(&path, ENGINE, async |sink| {
                    let mut found = self
                        .engine
                        .inspect(object)
                        .await
                        .map_err(|error| in_one_line(&error))?;
                    super::redact::object(&mut found);
                    sink.take(format!("{found:#}\n").as_bytes());
                    Ok(())
                })
                .await;
            });
        let outputs =
            stream::iter(&subject.nodes).for_each_concurrent(AT_ONCE, |node| async move {
                let path = format!("engine/output/{}.log", part(&node.name));
                self.file(&path, ENGINE, async |sink| {
                    let printed = self.engine.output(&node.name, |text| sink.take(text)).await;
                    printed.map_err(|error| in_one_line(&error))
                })
                .await;
            });
        future::join(objects, outputs).await;
    }

    /// Looks at a node.
    async fn node(&self, node: &Found) {
        let directory = part(node_name(node));
        if is_load_balancer(node) {
            // It has one program, whose output the engine has.
            let configuration = format!("{directory}/etc");
            return self.files(node, "/etc/haproxy", configuration).await;
        }
        let files = stream::iter(items::FILES).for_each_concurrent(2, |(root, below)| {
            self.files(node, root, format!("{directory}/{below}"))
        });
        if node.state == State::Running {
            future::join(files, self.looks(node, &directory)).await;
        } else {
            self.failed(
                &directory,
                format!("no command can run in it: it is {}", word(node.state)),
            );
            future::join(files, self.stopped_journal(node, &directory)).await;
        }
    }

    /// Runs all that can be run in a node.
    async fn looks(&self, node: &Found, directory: &str) {
        let role = if is_master(node) {
            Role::Master
        } else {
            Role::Worker
        };
        let batches = items::of_node(role);
        future::join_all(
            batches
                .iter()
                .map(|batch| self.batch(node, directory, batch)),
        )
        .await;
    }

    /// Runs a batch, and makes a file of each of its outputs.
    async fn batch(&self, node: &Found, directory: &str, batch: &Batch) {
        let Ok(_turn) = self.gate.acquire().await else {
            return;
        };
        let boundary = boundary();
        let command = batch.command(&boundary);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let (mut frames, mut outputs) = (
            Frames::new(&boundary),
            Outputs::new(self, directory, batch.limit),
        );
        let running = self.engine.exec_output(&node.name, &command, |part| {
            frames.take(part, &mut |frame| outputs.take(&frame));
        });
        // Each look ends itself before; this is for an engine that does not answer.
        let ended = self
            .within(Duration::from_secs(items::LIMIT + 2), running)
            .await;
        let why = match ended {
            Ok(Ok(_)) => "it was not tried, as one before it did not end".to_owned(),
            Ok(Err(error)) => in_one_line(&error),
            Err(why) => why,
        };
        outputs.finish(&why);
        for item in &batch.items {
            if !outputs.begun.contains(item.path) {
                self.failed(&format!("{directory}/{}", item.path), &*why);
            }
        }
    }
}

/// The files of a batch's outputs.
struct Outputs<'c> {
    collection: &'c Collection<'c>,
    directory: &'c str,
    /// How long each may take, in seconds.
    limit: u64,
    begun: BTreeSet<String>,
    current: Option<(String, Sink<'c>)>,
    /// The end of what the current one has written.
    last: Vec<u8>,
}

impl<'c> Outputs<'c> {
    fn new(collection: &'c Collection<'c>, directory: &'c str, limit: u64) -> Self {
        Self {
            collection,
            directory,
            limit,
            begun: BTreeSet::new(),
            current: None,
            last: Vec::new(),
        }
    }

    fn take(&mut self, frame: &Frame<'_>) {
        match *frame {
            Frame::Begin(name) => {
                self.begun.insert(name.to_owned());
                self.last.clear();
                let path = format!("{}/{}", self.directory, items::path(name));
                match self.collection.spool.file(&path) {
                    Ok(sink) => self.current = Some((path, sink)),
                    Err(error) => self.collection.unwritten(&path, error),
                }
            }
            Frame::Text(text) => {
                if let Some((_, sink)) = &mut self.current {
                    sink.take(text);
                }
                self.last.extend_from_slice(text);
                self.last.drain(..self.last.len().saturating_sub(300));
            }
            Frame::End(0) => self.end(None),
            // What `timeout` ends with; the latter where it had to kill.
            Frame::End(124 | 137) => {
                self.end(Some(format!("it did not end within {} s", self.limit)));
            }
            Frame::End(status) => {
                let text = String::from_utf8_lossy(&self.last);
                let said = text
                    .lines()
                    .rfind(|line| !line.trim().is_empty())
                    .unwrap_or_default();
                let why = format!("it ended with status {status}: {}", said.trim());
                self.end(Some(why));
            }
        }
    }

    /// Nothing more comes.
    fn finish(&mut self, why: &str) {
        if self.current.is_some() {
            self.end(Some(why.to_owned()));
        }
    }

    fn end(&mut self, failure: Option<String>) {
        if let Some((path, sink)) = self.current.take() {
            self.collection.ended(&path, sink, failure);
        }
    }
}

/// Text that nobody can have printed.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
