//! `snapshot export` and `snapshot import`: a snapshot with all that it needs, as one file.

use super::bar::Bar;
use super::identity::Identity;
use super::image;
use super::recovery::recover;
use super::restore::usable;
use super::session::Session;
use super::snapshot::{begin, is_worthless, named, of_cluster};
use super::surroundings::Surroundings;
use crate::cluster::{self, ClusterId, ClusterSpec, DEFAULT_VERSION, Names};
use crate::engine::{Engine, EngineError, Facts, Rights};
use crate::error::{Error, exit_code};
use crate::execute::{self, Times, Work, cluster_labels, transfer};
use crate::report::{self, Reporter};
use crate::signal;
use crate::snapshot::Snapshot;
use crate::snapshot::file::{self, FileProblem, Kind, Manifest, Writer};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// `snapshot export`.
pub(super) async fn export(session: &Session, name: &str, path: &Path) -> Result<u8, Error> {
    let began = Instant::now();
    let cancel = signal::watch(session.reporter.clone());
    let (engine, facts, identity, _lock) = begin(session, "snapshot export").await?;
    let snapshot = named(of_cluster(&engine, &identity).await?, name, &identity)?;
    usable(&engine, &snapshot, &identity).await?;
    if fs::symlink_metadata(path).is_ok() {
        return Err(Error::with_hint(
            format!("there is a file `{}` already", path.display()),
            "name another, or remove it",
        ));
    }
    let rights = rights(session, &engine, &facts, &snapshot, &cancel).await?;
    let mut times: Times = vec![("check".to_owned(), began.elapsed())];
    let part = part_of(path);
    let exporting = Exporting {
        session,
        engine: &engine,
        facts: &facts,
        identity: &identity,
        snapshot: &snapshot,
        rights: &rights,
        cancel: &cancel,
    };
    let written = exporting.write(&part, &mut times).await;
    let written = written.and_then(|manifest| {
        fs::rename(&part, path).map_err(|source| unwritten(path, source))?;
        Ok(manifest)
    });
    if written.is_err() {
        // What is not whole is nothing; one that was never made is not there.
        let _ = fs::remove_file(&part);
    }
    let manifest = written?;
    let sizes = manifest
        .parts
        .iter()
        .map(|part| format!("{} {}", part.kind.entry(), report::bytes(part.size)));
    let next = vec![
        format!(
            "{}: {}",
            path.display(),
            sizes.collect::<Vec<_>>().join(", ")
        ),
        "it has the cluster's keys: whoever reads it may enter the cluster".to_owned(),
        format!(
            "local-cluster snapshot import {}  # on another machine, {}",
            path.display(),
            manifest.architecture
        ),
    ];
    session.reporter.finished(times, began.elapsed(), next);
    Ok(exit_code::OK)
}

/// The file as long as it is not whole. What has this name is ours: it is replaced without a word.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".local-cluster-export");
    PathBuf::from(name)
}

fn unwritten(path: &Path, source: io::Error) -> Error {
    Error::other(format!("write {}", path.display()), source)
}

/// The rights of the jobs that read and write volumes: those of nodes of this image.
async fn rights(
    session: &Session,
    engine: &Engine,
    facts: &Facts,
    snapshot: &Snapshot,
    cancel: &CancellationToken,
) -> Result<Rights, Error> {
    let (image, preload) = (&snapshot.of.image, &snapshot.of.preload);
    let wanted = image::of(session, DEFAULT_VERSION, image, preload)?;
    let surroundings = Surroundings::of(session);
    let work: Work<'_> = surroundings.work(engine, facts, &wanted, cancel, &session.reporter);
    execute::rights(&work).await
}

struct Exporting<'a> {
    session: &'a Session,
    engine: &'a Engine,
    facts: &'a Facts,
    identity: &'a Identity,
    snapshot: &'a Snapshot,
    rights: &'a Rights,
    cancel: &'a CancellationToken,
}

impl Exporting<'_> {
    async fn write(&self, path: &Path, times: &mut Times) -> Result<Manifest, Error> {
        let (engine, snapshot) = (self.engine, self.snapshot);
        let doing = || format!("export snapshot `{}`", snapshot.name);
        let failed = |source: EngineError| Error::other(doing(), source);
        let unwritten = |source: io::Error| unwritten(path, source);
        // One that a run was killed over is of no use to anybody, and may be open to others.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritten(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut writer =
            Writer::begin(options.open(path).map_err(unwritten)?).map_err(unwritten)?;
        for kind in Kind::ALL {
            let reporter = &self.session.reporter;
            let writing = async {
                let mut part = writer.part(kind).map_err(unwritten)?;
                let mut bar = Bar::new(reporter, title(kind), None);
                let mut taken = 0;
                let take = |bytes: &[u8]| {
                    taken += bytes.len() as u64;
                    bar.show(taken);
                    part.take(bytes)
                };
                let (rights, cancel) = (self.rights, self.cancel);
                let written = transfer::write(engine, snapshot, kind, rights, cancel, take).await;
                bar.finish();
                written.map_err(failed)?;
                part.finish().map_err(unwritten)
            };
            writer = execute::stage(title(kind), reporter, times, Box::pin(writing)).await?;
        }
        let preload_is = transfer::identity(engine, snapshot, &snapshot.of.preload, true)
            .await
            .map_err(failed)?;
        let manifest = Manifest::new(
            &snapshot.name,
            self.identity.id,
            snapshot.of.clone(),
            self.facts.go_architecture(),
            preload_is,
        );
        let (file, manifest) = writer.finish(manifest).map_err(unwritten)?;
        file.sync_all().map_err(unwritten)?;
        Ok(manifest)
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "node image",
        Kind::Preload => "images",
        Kind::Nodes => "nodes",
    }
}

/// A file that was opened once, however often it is read, each time from a place of its own; whoever waits is told how far.
struct Reading {
    file: Arc<File>,
    at: u64,
    read: u64,
    bar: Bar,
}

impl Read for Reading {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.at)?;
        self.at += read as u64;
        self.read += read as u64;
        self.bar.show(self.read);
        Ok(read)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.bar.finish();
    }
}

/// The file that is imported.
struct Source {
    file: Arc<File>,
    size: u64,
    reporter: Reporter,
}

impl Source {
    fn open(path: &Path, reporter: &Reporter) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self {
            size: file.metadata()?.len(),
            file: Arc::new(file),
            reporter: reporter.clone(),
        })
    }

    fn read(&self, item: &str, at: u64, size: u64) -> Reading {
        Reading {
            file: Arc::clone(&self.file),
            at,
            read: 0,
            bar: Bar::new(&self.reporter, item, Some(size)),
        }
    }

    /// A part's tar archive, once the file is checked.
    fn part(&self, manifest: &Manifest, kind: Kind) -> io::Result<impl Read + Send + use<>> {
        let parts = manifest.parts.iter().filter(|part| part.kind == kind);
        let size = parts.map(|part| part.size).sum();
        let from = self.read(title(kind), file::offset(manifest, kind), size);
        file::open(from, manifest, kind)
    }
}

/// `snapshot import`.
pub(super) async fn import(
    session: &Session,
    path: &Path,
    name: Option<&str>,
) -> Result<u8, Error> {
    let began = Instant::now();
    let cancel = signal::watch(session.reporter.clone());
    let (engine, facts, identity, _lock) = begin(session, "snapshot import").await?;
    recover(session, &engine, &facts, &identity, &cancel).await?;
    let mut times: Times = vec![("check".to_owned(), began.elapsed())];
    let source = Source::open(path, &session.reporter)
        .map_err(|source| refused(path, FileProblem::Read(source)))?;
    // Before all of a large file is read, whether it could be taken.
    let (size, architecture) = (source.size, facts.go_architecture().to_owned());
    let problem = |problem: FileProblem| refused(path, problem);
    let said = file::manifest(&mut &*source.file, size, &architecture);
    let said = said.map_err(problem)?;
    let snapshot = snapshot(session, &identity, &said, name)?;
    must_be_free(&engine, &identity, &snapshot).await?;
    let checking = async {
        let all = BufReader::new(source.read("file", 0, size));
        let checked = tokio::task::spawn_blocking(move || file::check(all, size, &architecture));
        let checked = checked.await.map_err(|source| refused(path, source))?;
        checked.map_err(problem)
    };
    let manifest = execute::stage("file", &session.reporter, &mut times, checking).await?;
    if manifest != said {
        let changed = "it has changed while it was read".to_owned();
        return Err(problem(FileProblem::Damaged(changed)));
    }
    let importing = Importing {
        session,
        engine: &engine,
        facts: &facts,
        path,
        source: &source,
        manifest: &manifest,
        cancel: &cancel,
    };
    let snapshot = importing.carry_out(snapshot, &mut times).await?;
    let next = format!(
        "local-cluster{} snapshot restore {}  # bring the cluster up as it was at {}",
        identity.flag(),
        snapshot.name,
        snapshot.of.at
    );
    session
        .reporter
        .finished(times, began.elapsed(), vec![next]);
    Ok(exit_code::OK)
}

fn refused(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::other(format!("import {}", path.display()), source)
}

/// No snapshot that may be whole is replaced by one of its name.
async fn must_be_free(
    engine: &Engine,
    identity: &Identity,
    snapshot: &Snapshot,
) -> Result<(), Error> {
    let there = of_cluster(engine, identity).await?;
    let Some(old) = there.get(&snapshot.name) else {
        return Ok(());
    };
    if is_worthless(engine, old).await? {
        return Ok(());
    }
    Err(Error::with_hint(
        format!("there is a snapshot `{}` already", snapshot.name),
        format!(
            "give another name with `--name`, or remove it with `local-cluster{} snapshot rm {}`",
            identity.flag(),
            snapshot.name
        ),
    ))
}

/// What the file has, as a snapshot of the cluster that is meant: where that has another range, as one of a clone.
fn snapshot(
    session: &Session,
    identity: &Identity,
    manifest: &Manifest,
    name: Option<&str>,
) -> Result<Snapshot, Error> {
    let (id, pool) = (ClusterId::new(identity.id), session.settings()?.dind.subnet);
    let mut of = manifest.of.clone();
    let unfit = |problems: &[_]| Error::message(cluster::in_lines(problems));
    let members = Names::members_named(of.nodes.iter().map(String::as_str));
    if manifest.cluster_id != identity.id {
        of.settings = ClusterSpec::cloned_fingerprint(&of.settings, id, pool)
            .map_err(|problem| unfit(&[problem]))?;
        of.port = None;
    }
    let label = identity.label.as_deref();
    let spec = ClusterSpec::of_fingerprint(identity.id, label, &of.settings, members)
        .map_err(|problems| unfit(&problems))?;
    let name = name.unwrap_or(&manifest.name);
    Ok(Snapshot::new(&spec.names, name, cluster_labels(&spec), of))
}

struct Importing<'a> {
    session: &'a Session,
    engine: &'a Engine,
    facts: &'a Facts,
    path: &'a Path,
    source: &'a Source,
    manifest: &'a Manifest,
    cancel: &'a CancellationToken,
}

impl Importing<'_> {
    async fn carry_out(
        &self,
        mut snapshot: Snapshot,
        times: &mut Times,
    ) -> Result<Snapshot, Error> {
        let Self {
            session,
            engine,
            facts,
            path,
            cancel,
            ..
        } = *self;
        let reporter = &session.reporter;
        let failed = |source: EngineError| refused(path, source);
        // Others may make the same images.
        let lock = session.lock_images(cancel).await?;
        let image = engine.image_labels(&snapshot.of.image).await;
        if image.map_err(failed)?.is_none() {
            let loading = async {
                let archive = self.open(Kind::Image)?;
                engine
                    .load_image(&snapshot.of.image, archive, cancel)
                    .await
                    .map_err(failed)
            };
            execute::stage(title(Kind::Image), reporter, times, Box::pin(loading)).await?;
        }
        transfer::settle_rights(engine, facts, &snapshot)
            .await
            .map_err(failed)?;
        let rights = rights(session, engine, facts, &snapshot, cancel).await?;
        if self.needs_preload(&mut snapshot).await? {
            let filling = async {
                let archive = Box::new(self.open(Kind::Preload)?);
                transfer::fill_preload(engine, &snapshot, &rights, archive, cancel)
                    .await
                    .map_err(failed)
            };
            execute::stage(title(Kind::Preload), reporter, times, Box::pin(filling)).await?;
        }
        drop(lock);
        let filling = async {
            let archive = Box::new(self.open(Kind::Nodes)?);
            transfer::fill(engine, &snapshot, &rights, archive, cancel)
                .await
                .map_err(failed)
        };
        execute::stage(title(Kind::Nodes), reporter, times, Box::pin(filling)).await?;
        Ok(snapshot)
    }

    fn open(&self, kind: Kind) -> Result<impl Read + Send + use<>, Error> {
        let part = self.source.part(self.manifest, kind);
        part.map_err(|source| refused(self.path, source))
    }

    /// Whether the preload volume is missing. One of the same name may have been made here: then the nodes, which go by
    /// what is in theirs, get it under another name.
    async fn needs_preload(&self, snapshot: &mut Snapshot) -> Result<bool, Error> {
        let there = image::preloads(self.engine).await?;
        if there.get(&snapshot.of.preload) != Some(&true) {
            return Ok(true);
        }
        let is = transfer::identity(self.engine, snapshot, &snapshot.of.preload, false)
            .await
            .map_err(|source| refused(self.path, source))?;
        if is == self.manifest.preload_is {
            return Ok(false);
        }
        snapshot.of.preload = format!("{}-{}", snapshot.of.preload, &self.manifest.preload_is[..8]);
        Ok(there.get(&snapshot.of.preload) != Some(&true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Event;

    /// What was checked is what is used, whatever the path leads to by then.
    #[test]
    fn the_file_that_was_opened_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![1; 3 << 20]).unwrap();
        let (reporter, events) = Reporter::memory();
        let source = Source::open(&path, &reporter).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, vec![2; 9]).unwrap();
        let (mut all, mut rest) = (Vec::new(), Vec::new());
        let mut other = source.read("rest", (3 << 20) - 5, 5);
        source
            .read("file", 0, source.size)
            .read_to_end(&mut all)
            .unwrap();
        other.read_to_end(&mut rest).unwrap();
        assert!(all == vec![1; 3 << 20] && rest == [1; 5]);
        let events = events.lock().unwrap();
        assert!(
            matches!(&events[0], Event::Progress { item, total: Some(total), .. } if item == "file" && *total == 3 << 20)
        );
        assert!(matches!(
            events.last(),
            Some(Event::ProgressFinished { .. })
        ));
    }

    #[test]
    fn what_is_written_has_a_name_that_is_nobody_else_s() {
        assert_eq!(
            part_of(Path::new("a/one.snapshot")),
            Path::new("a/one.snapshot.local-cluster-export")
        );
    }
}
