//! `dump` and `dump64`: all that can be known of a cluster, whatever state it is in.

use super::identity::Identity;
use super::session::{LOGGED, Session};
use super::split_dump::must_be_empty;
use crate::cli::{DumpArgs, DumpTime, Output};
use crate::dump::collect::{Collection, Subject, node_name};
use crate::dump::index::{self, Index};
use crate::dump::pack::{Packer, xz};
use crate::dump::spool::{Spool, make_directory};
use crate::dump::wire;
use crate::engine::{Engine, label};
use crate::error::{Error, exit_code};
use crate::inventory::{settings, word};
use crate::report::print_much;
use crate::signal;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How long collecting may take, and what each node adds beyond the first three.
const TIME: Duration = Duration::from_secs(15);
const TIME_OF_NODE: Duration = Duration::from_millis(500);
/// So many logs of earlier runs are taken along.
const RUNS: usize = 5;
/// What is left out, for the index.
const LEFT_OUT: [&str; 4] = [
    "objects of the kind Secret; the events of the group events.k8s.io, which are those of v1",
    "files of nodes that are nothing but a key; logs of pods that kubelet has compressed",
    "in all files: private keys, tokens, passwords, and who asks a proxy, where they are known as such ([redacted])",
    "managedFields of all objects",
];

/// Where a dump goes.
enum Target<'a> {
    Text,
    Packed,
    Directory(&'a Path),
    Archive(&'a Path),
}

/// `dump`.
pub(super) async fn run(session: &Session, arguments: &DumpArgs) -> Result<u8, Error> {
    let target = match (&arguments.to, &arguments.tar) {
        (Some(directory), _) => Target::Directory(directory),
        (None, Some(file)) => Target::Archive(file),
        (None, None) => Target::Text,
    };
    dump(session, &target, &arguments.time).await
}

/// `dump64`.
pub(super) async fn packed(session: &Session, time: &DumpTime) -> Result<u8, Error> {
    dump(session, &Target::Packed, time).await
}

async fn dump(session: &Session, target: &Target<'_>, time: &DumpTime) -> Result<u8, Error> {
    check(target)?;
    // Where events are data, they do not come between this data.
    let talks = session.output == Output::Text || !matches!(target, Target::Text | Target::Packed);
    if let Some(problems) = session.problems.as_ref().filter(|_| talks) {
        let hint = "which cluster is meant is taken from `--cluster-id`, `--label` and their variables only";
        session.reporter.warn(
            format!("the settings cannot be used:\n{problems}"),
            Some(hint),
        );
    }
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let subject = subject(&engine, &identity).await?;
    let cancel = signal::watch(session.reporter.clone());
    let temporary = tempfile::tempdir()
        .map_err(|source| Error::other("make a directory for the dump", source))?;
    let directory = match target {
        Target::Directory(directory) => *directory,
        _ => temporary.path(),
    };
    let unwritten = |source| {
        Error::other(
            format!("write the dump into {}", directory.display()),
            source,
        )
    };
    make_directory(directory).map_err(unwritten)?;
    let spool = Arc::new(Spool::new(directory.to_owned()));
    let more = u32::try_from(subject.nodes.len().saturating_sub(3)).unwrap_or(u32::MAX);
    let limit = time.timeout.unwrap_or(TIME + TIME_OF_NODE * more);
    let began = Instant::now();
    own_files(session, &identity, &spool).map_err(unwritten)?;
    // It is waited for also when it is cancelled: what it has made on the engine is removed.
    let failures = Collection::new(&engine, Arc::clone(&spool), limit, cancel.clone())
        .run(&subject)
        .await;
    if cancel.is_cancelled() {
        return Err(Error::Interrupted {
            after: String::new(),
        });
    }
    let failures = failures.map_err(unwritten)?;
    let index = Index {
        cluster: identity.names.context(),
        at: OffsetDateTime::now_utc()
            .format(&Rfc3339)
            .unwrap_or_default(),
        took: began.elapsed(),
        versions: versions(&subject),
        nodes: subject
            .nodes
            .iter()
            .map(|node| (node_name(node).to_owned(), word(node.state).to_owned()))
            .collect(),
        failures,
        left_out: LEFT_OUT.map(str::to_owned).to_vec(),
        files: spool.files(),
    };
    spool.text(index::NAME, &index.text()).map_err(unwritten)?;
    let banner = format!("dump of cluster `{}`, {}", index.cluster, index.at);
    write(target, &spool, &banner)?;
    if talks {
        let failures = match index.failures.len() {
            0 => String::new(),
            count => format!(
                "; {count} could not be had, or not all of them: {} tells",
                index::NAME
            ),
        };
        let files = index.files.len() + 1;
        session.reporter.note(format!("{files} files{failures}"));
    }
    Ok(exit_code::OK)
}

/// Whether it can go there: told before anything is collected.
fn check(target: &Target<'_>) -> Result<(), Error> {
    match target {
        Target::Directory(directory) => must_be_empty(directory),
        Target::Archive(file) => {
            let name = file.to_string_lossy();
            if file.exists() {
                return Err(Error::with_hint(
                    format!("`{name}` is there already"),
                    "remove it, or name another file with `--tar`",
                ));
            }
            if name.ends_with(".tar") || name.ends_with(".tar.xz") {
                return Ok(());
            }
            Err(Error::with_hint(
                format!("`{name}` does not say how it is to be written"),
                "end it in `.tar` or `.tar.xz`",
            ))
        }
        Target::Text | Target::Packed => Ok(()),
    }
}

/// All that belongs to the cluster, and what its nodes share with others.
async fn subject(engine: &Engine, identity: &Identity) -> Result<Subject, Error> {
    let selector = identity.selector();
    let found = futures_util::future::try_join3(
        engine.containers(&selector),
        engine.networks(),
        engine.volumes(&selector),
    );
    // Those that stand aside in a restore are a part of the picture.
    let (nodes, networks, volumes) = found.await.map_err(|source| identity.not_found(source))?;
    let name = identity.names.context();
    let networks: Vec<String> = networks
        .into_iter()
        .filter(|network| network.labels.get(label::CLUSTER) == Some(&name))
        .map(|network| network.name)
        .collect();
    let of_nodes = nodes.iter().flat_map(|node| node.volumes.iter().cloned());
    let volumes: BTreeSet<String> = volumes
        .into_iter()
        .map(|volume| volume.name)
        .chain(of_nodes)
        .collect();
    if nodes.is_empty() && networks.is_empty() && volumes.is_empty() {
        return Err(identity.absent());
    }
    Ok(Subject {
        nodes,
        networks,
        volumes: volumes.into_iter().collect(),
    })
}

fn versions(subject: &Subject) -> Vec<String> {
    let mut versions = vec![format!("local-cluster {}", env!("CARGO_PKG_VERSION"))];
    let made: BTreeSet<String> = subject
        .nodes
        .iter()
        .filter_map(|node| settings(node)?.remove("source.kubernetesVersion"))
        .collect();
    versions.extend(
        made.into_iter()
            .map(|version| format!("Kubernetes {version}")),
    );
    versions
}

/// What this side knows: settings of today, and logs of the last runs.
fn own_files(session: &Session, identity: &Identity, spool: &Spool) -> io::Result<()> {
    let settings = match (&session.problems, session.settings()) {
        (Some(problems), _) => format!(
            "# The settings cannot be used:\n# {}\n",
            problems.replace('\n', "\n# ")
        ),
        (None, Ok(settings)) => serde_yaml::to_string(settings).unwrap_or_default(),
        (None, Err(_)) => String::new(),
    };
    spool.text("settings.yaml", &settings)?;
    let cluster = identity.names.context();
    let mut runs: Vec<_> = std::fs::read_dir(&session.state)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_log = is_run(&name, &cluster);
            Some((entry.metadata().ok()?.modified().ok()?, name)).filter(|_| is_log)
        })
        .collect();
    runs.sort();
    for (_, name) in runs.iter().rev().take(RUNS) {
        // One that goes away meanwhile is no loss.
        if let Ok(text) = std::fs::read_to_string(session.state.join(name)) {
            spool.text(&format!("runs/{}", crate::dump::name::part(name)), &text)?;
        }
    }
    Ok(())
}

/// Whether a log is of a command on this cluster: the names of some clusters begin with those of others.
fn is_run(log: &str, cluster: &str) -> bool {
    let rest = log
        .strip_suffix(".log")
        .and_then(|log| log.strip_prefix(cluster)?.strip_prefix('-'));
    LOGGED.iter().any(|(command, _)| {
        let stamp = rest.and_then(|rest| rest.strip_prefix(command)?.strip_prefix('-'));
        stamp.is_some_and(is_stamp)
    })
}

/// As in `20261121T150000Z`, and `20261121T150000Z-2`: no command and no label is like that.
fn is_stamp(text: &str) -> bool {
    let (time, number) = text.split_once('-').unwrap_or((text, "1"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = time.strip_suffix('Z').and_then(|time| time.split_once('T'));
    parts
        .is_some_and(|(day, time)| day.len() == 8 && time.len() == 6 && digits(day) && digits(time))
        && digits(number)
}

fn write(target: &Target<'_>, spool: &Spool, banner: &str) -> Result<(), Error> {
    let printed = |source| Error::other("write the dump to standard output", source);
    match target {
        Target::Directory(_) => Ok(()),
        Target::Text => print_much(|out| text(out, spool, banner)).map_err(printed),
        Target::Packed => print_much(|out| {
            let mut packer = Packer::begin(out)?;
            text(&mut packer, spool, banner)?;
            packer.finish()?.flush()
        })
        .map_err(printed),
        Target::Archive(file) => archive(file, spool).map_err(|source| {
            Error::other(format!("write the dump into `{}`", file.display()), source)
        }),
    }
}

fn text(out: impl Write, spool: &Spool, banner: &str) -> io::Result<()> {
    let mut writer = wire::Writer::begin(out, banner)?;
    for file in spool.files() {
        let content = File::open(spool.directory().join(&file.path))?;
        writer.file(&file.path, BufReader::new(content))?;
    }
    writer.finish()?;
    Ok(())
}

/// Writes an archive beside its place, and puts it there when it is whole.
fn archive(path: &Path, spool: &Spool) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let file = tempfile::NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))?;
    let mut out = io::BufWriter::new(file);
    if path.extension().is_some_and(|end| end == "xz") {
        let mut packed = xz(&mut out);
        entries(&mut packed, spool)?;
        packed.finish()?;
    } else {
        entries(&mut out, spool)?;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn entries(out: impl Write, spool: &Spool) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0);
    for file in spool.files() {
        let content = File::open(spool.directory().join(&file.path))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.size);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("cluster-dump/{}", file.path), content)?;
    }
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::{LOGGED, is_run};

    #[test]
    fn logs_of_other_clusters_are_not_taken() {
        for (log, cluster, wanted) in [
            (
                "local-cluster-up-20261121T150000Z.log",
                "local-cluster",
                true,
            ),
            (
                "local-cluster-7-up-20261121T150000Z.log",
                "local-cluster",
                false,
            ),
            (
                "local-cluster-7-snapshot-save-20261121T150000Z-2.log",
                "local-cluster-7",
                true,
            ),
            (
                "local-cluster-70-up-20261121T150000Z.log",
                "local-cluster-7",
                false,
            ),
            (
                "local-cluster-up-20261121T150000Z.lock",
                "local-cluster",
                false,
            ),
            (
                "local-cluster-up-up-20261121T150000Z.log",
                "local-cluster",
                false,
            ),
            (
                "local-cluster-up-up-20261121T150000Z.log",
                "local-cluster-up",
                true,
            ),
        ] {
            assert_eq!(is_run(log, cluster), wanted, "{log} {cluster}");
        }
        for (command, _) in LOGGED {
            let log = format!("local-cluster-7-{command}-20261121T150000Z.log");
            assert!(is_run(&log, "local-cluster-7"), "{log}");
        }
    }
}
