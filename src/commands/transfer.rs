//! `snapshot export` and `snapshot import`: a snapshot with all that it needs, as one file.

use super::image;
use super::recovery::recover;
use super::restore::usable;
use super::session::{Identity, Session};
use super::snapshot::{begin, check_name, named, of_cluster, whole};
use super::surroundings::Surroundings;
use crate::cluster::{ClusterId, ClusterSpec, DEFAULT_VERSION, Names};
use crate::engine::{Engine, EngineError, Facts, Rights};
use crate::error::{Error, exit_code};
use crate::execute::{self, Times, Work, cluster_labels, transfer};
use crate::signal;
use crate::snapshot::Snapshot;
use crate::snapshot::file::{self, FileProblem, Kind, Manifest, Writer};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
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
    let sizes = manifest.parts.iter().map(|part| {
        let megabytes = part.size / 1_000_000;
        format!("{} {megabytes} MB", part.kind.entry())
    });
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

/// The file as long as it is not whole.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
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
                let (rights, cancel) = (self.rights, self.cancel);
                transfer::write(engine, snapshot, kind, rights, &mut part, cancel)
                    .await
                    .map_err(failed)?;
                part.finish().map_err(unwritten)
            };
            writer = execute::stage(title(kind), reporter, times, Box::pin(writing)).await?;
        }
        let preload_is = transfer::identity(engine, snapshot, &snapshot.of.preload)
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

/// `snapshot import`.
pub(super) async fn import(
    session: &Session,
    path: &Path,
    name: Option<&str>,
) -> Result<u8, Error> {
    let began = Instant::now();
    if let Some(name) = name {
        check_name(name)?;
    }
    let cancel = signal::watch(session.reporter.clone());
    let (engine, facts, identity, _lock) = begin(session, "snapshot import").await?;
    recover(session, &engine, &facts, &identity, &cancel).await?;
    let mut times: Times = vec![("check".to_owned(), began.elapsed())];
    let checking = async {
        let (opened, architecture) = (path.to_owned(), facts.go_architecture().to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            let file = File::open(&opened).map_err(FileProblem::Read)?;
            let size = file.metadata().map_err(FileProblem::Read)?.len();
            file::check(BufReader::new(file), size, &architecture)
        });
        let checked = checked.await.map_err(|source| refused(path, source))?;
        checked.map_err(|problem| refused(path, problem))
    };
    let manifest = execute::stage("file", &session.reporter, &mut times, checking).await?;
    let snapshot = snapshot(session, &identity, &manifest, name)?;
    let there = of_cluster(&engine, &identity).await?;
    if let Some(old) = there.get(&snapshot.name)
        && usable(&engine, old, &identity).await.is_ok()
        && whole(&engine, old).await?
    {
        return Err(Error::with_hint(
            format!("there is a snapshot `{}` already", snapshot.name),
            format!(
                "give another name with `--name`, or remove it with `local-cluster{} snapshot rm {}`",
                identity.flag(),
                snapshot.name
            ),
        ));
    }
    let importing = Importing {
        session,
        engine: &engine,
        facts: &facts,
        path,
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

/// What the file has, as a snapshot of the cluster that is meant: where that has another range, as one of a clone.
fn snapshot(
    session: &Session,
    identity: &Identity,
    manifest: &Manifest,
    name: Option<&str>,
) -> Result<Snapshot, Error> {
    let (id, pool) = (ClusterId::new(identity.id), session.settings()?.dind.subnet);
    let mut of = manifest.of.clone();
    let unfit = |problems: &[_]| Error::message(super::up::in_lines(problems));
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
                transfer::load_image(engine, &snapshot, archive, cancel)
                    .await
                    .map_err(failed)
            };
            execute::stage(title(Kind::Image), reporter, times, Box::pin(loading)).await?;
        }
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

    fn open(&self, kind: Kind) -> Result<impl io::Read + Send + use<>, Error> {
        let open = || file::open(File::open(self.path)?, self.manifest, kind);
        open().map_err(|source| refused(self.path, source))
    }

    /// Whether the preload volume is missing. One of the same name may have been made here: then the nodes, which go by
    /// what is in theirs, get it under another name.
    async fn needs_preload(&self, snapshot: &mut Snapshot) -> Result<bool, Error> {
        let there = image::preloads(self.engine).await?;
        if there.get(&snapshot.of.preload) != Some(&true) {
            return Ok(true);
        }
        let is = transfer::identity(self.engine, snapshot, &snapshot.of.preload)
            .await
            .map_err(|source| refused(self.path, source))?;
        if is == self.manifest.preload_is {
            return Ok(false);
        }
        snapshot.of.preload = format!("{}-{}", snapshot.of.preload, &self.manifest.preload_is[..8]);
        Ok(there.get(&snapshot.of.preload) != Some(&true))
    }
}
