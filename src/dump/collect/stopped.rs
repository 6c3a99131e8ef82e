//! What can be had of a node without running anything in it: its files, and the journal of one that has stopped.

use super::super::items;
use super::super::name::part;
use super::super::spool::{Spool, is_about_one};
use super::{Collection, FILES};
use crate::engine::{EngineError, Found, Job, Mount, NO_NETWORK};
use crate::error::in_one_line;
use crate::image::job_labels;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What the label of the job that reads a journal says.
const DUMP_JOB: &str = "dump";

/// Parts of an archive, as they come.
struct Parts {
    receiver: mpsc::Receiver<Bytes>,
    part: Bytes,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.receiver.blocking_recv() {
                Some(part) => self.part = part,
                None => return Ok(0),
            }
        }
        let some = buffer.len().min(self.part.len());
        self.part.copy_to_slice(&mut buffer[..some]);
        Ok(some)
    }
}

/// What became of the files of an archive.
#[derive(Default)]
struct Unpacked {
    /// Those that could not be had, and why.
    failures: Vec<(String, String)>,
    broken: Option<io::Error>,
}

impl Collection<'_> {
    /// Takes the files below a path of a node's file system into a directory of the dump.
    pub(super) async fn files(&self, node: &Found, root: &'static str, directory: String) {
        if self.is_broken() {
            return;
        }
        let (sender, receiver) = mpsc::channel(16);
        let (spool, below) = (Arc::clone(&self.spool), directory.clone());
        let unpacking = tokio::task::spawn_blocking(move || {
            let parts = Parts {
                receiver,
                part: Bytes::new(),
            };
            unpack(&spool, parts, root, &below)
        });
        let sending = async {
            let mut archive = Box::pin(self.engine.download(&node.name, root));
            while let Some(part) = archive.next().await {
                match part {
                    Ok(part) => drop(sender.send(part).await),
                    Err(error) if is_absent(&error) => {
                        return Err(format!("{root} is not there"));
                    }
                    Err(error) => return Err(in_one_line(&error)),
                }
            }
            Ok(())
        };
        let sent = self.within(FILES, sending).await.and_then(|sent| sent);
        // The archive ends here, whether it is whole or not.
        drop(sender);
        let unpacked = unpacking.await.unwrap_or_default();
        match sent {
            Err(why) => self.failed(&directory, why),
            Ok(()) => {
                for (path, why) in unpacked.failures {
                    self.failed(&path, why);
                }
            }
        }
        if let Some(error) = unpacked.broken {
            self.broke(error);
        }
    }

    /// Reads the journal of a node that does not run, in a container that has its volume and changes nothing of it.
    pub(super) async fn stopped_journal(&self, node: &Found, directory: &str) {
        let path = format!("{directory}/journal/all.log");
        let Some(volume) = node.own_volumes().next() else {
            return self.failed(&path, "its container has no volume");
        };
        let command = [
            "timeout",
            "-k",
            "1",
            "8",
            "journalctl",
            "-D",
            "/node/var/log/journal",
            "--no-pager",
            "--utc",
            "-o",
            "short-iso-precise",
            "-n",
            "200000",
        ];
        let job = Job {
            // One that a killed run has left is replaced, also one of a run at the same time, which tells so.
            name: format!("{}.dump", node.name),
            image: node.image.clone(),
            command: command.map(str::to_owned).to_vec(),
            environment: Vec::new(),
            mounts: vec![Mount {
                volume: volume.clone(),
                target: "/node".to_owned(),
                read_only: true,
            }],
            labels: job_labels(DUMP_JOB),
            rights: None,
            network: Some(NO_NETWORK.to_owned()),
        };
        self.file(&path, Duration::from_secs(10), async |sink| {
            let read = self.engine.run_job(&job, None, &self.cancel, |line| {
                sink.take(line.as_bytes());
                sink.take(b"\n");
            });
            read.await.map_err(|error| in_one_line(&error))
        })
        .await;
        // However that ended: also when it was cut off, or cancelled.
        if let Err(error) = self.engine.remove_container(&job.name).await {
            self.failed(&path, in_one_line(&error));
        }
    }
}

/// The engine has said that there is nothing at that path.
fn is_absent(error: &io::Error) -> bool {
    let engine = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<EngineError>());
    engine.and_then(EngineError::status) == Some(404)
}

/// Takes an archive apart into files of the dump.
fn unpack(spool: &Spool, parts: Parts, root: &str, directory: &str) -> Unpacked {
    let mut unpacked = Unpacked::default();
    let mut archive = tar::Archive::new(parts);
    let mut pods = BTreeSet::new();
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => {
            unpacked
                .failures
                .push((directory.to_owned(), error.to_string()));
            return unpacked;
        }
    };
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                unpacked
                    .failures
                    .push((directory.to_owned(), error.to_string()));
                break;
            }
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(path) = target(&name, root, directory, &mut pods) else {
            continue;
        };
        let mut sink = match spool.file(&path) {
            Ok(sink) => sink,
            Err(error) if is_about_one(&error) => {
                unpacked.failures.push((path, error.to_string()));
                continue;
            }
            Err(error) => {
                unpacked.broken = Some(error);
                break;
            }
        };
        let mut buffer = vec![0; 64 * 1024];
        let read = loop {
            match entry.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(some) => sink.take(&buffer[..some]),
                Err(error) => break Err(error),
            }
        };
        match sink.finish(false) {
            Ok(false) => {}
            Ok(true) => unpacked.failures.push((
                path.clone(),
                "it is too long: the end is left out".to_owned(),
            )),
            Err(error) if is_about_one(&error) => {
                unpacked.failures.push((path.clone(), error.to_string()));
            }
            Err(error) => {
                unpacked.broken = Some(error);
                break;
            }
        }
        if let Err(error) = read {
            unpacked.failures.push((path, error.to_string()));
            break;
        }
    }
    unpacked
}

/// Where a file of an archive goes; nowhere if it is nothing but a secret, or no text.
fn target(name: &str, root: &str, directory: &str, pods: &mut BTreeSet<String>) -> Option<String> {
    // The archive begins with the last part of what was asked for.
    let last = Path::new(root).file_name()?.to_str()?;
    let inner = name.strip_prefix(last)?;
    if items::is_left_out(name) {
        return None;
    }
    if inner.is_empty() {
        return Some(format!("{directory}/{}", part(last)));
    }
    let inner = inner.strip_prefix('/')?;
    if directory.ends_with("/pods") {
        let short = items::pod_log(inner).map(|path| format!("{directory}/{path}"));
        if let Some(short) = short.filter(|path| pods.insert(path.clone())) {
            return Some(short);
        }
    }
    let parts: Vec<String> = inner.split('/').map(part).collect();
    Some(format!("{directory}/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::context::{File, archive};

    #[test]
    fn files_of_a_node_go_where_people_look_for_them() {
        let mut pods = BTreeSet::new();
        let mut goes =
            |name: &str, root: &str, directory: &str| target(name, root, directory, &mut pods);
        let etc = ("/data/etc", "kube-master/etc");
        assert_eq!(
            goes("etc/kubernetes/admin.conf", etc.0, etc.1).unwrap(),
            "kube-master/etc/kubernetes/admin.conf"
        );
        assert_eq!(goes("etc/kubernetes/pki/ca.key", etc.0, etc.1), None);
        assert_eq!(
            goes("etc/../../x y", etc.0, etc.1).unwrap(),
            "kube-master/etc/-../-../x-y"
        );
        let config = goes(
            "config.yaml",
            "/data/var/lib/kubelet/config.yaml",
            "n/kubelet",
        );
        assert_eq!(config.unwrap(), "n/kubelet/config.yaml");
        let pod = ("/data/var/log/pods", "n/pods");
        assert_eq!(
            goes("pods/a_b_c/d/0.log", pod.0, pod.1).unwrap(),
            "n/pods/a/b/d/0.log"
        );
        // Another of the same name, made anew.
        assert_eq!(
            goes("pods/a_b_e/d/0.log", pod.0, pod.1).unwrap(),
            "n/pods/a_b_e/d/0.log"
        );
        assert_eq!(goes("other/a", pod.0, pod.1), None);
    }

    #[test]
    fn an_archive_that_is_cut_off_gives_what_it_has() {
        let files = ["etc/one", "etc/two"].map(|name| File::new(name, 0o644, vec![b'a'; 2000]));
        let archive = archive(&files);
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path().to_owned());
        let (sender, receiver) = mpsc::channel(2);
        sender
            .try_send(Bytes::copy_from_slice(&archive[..4500]))
            .unwrap();
        drop(sender);
        let part = Bytes::new();
        let unpacked = unpack(&spool, Parts { receiver, part }, "/data/etc", "n/etc");
        assert!(
            unpacked.broken.is_none() && unpacked.failures.len() == 1,
            "{:?}",
            unpacked.failures
        );
        let found: Vec<String> = spool.files().into_iter().map(|file| file.path).collect();
        assert_eq!(found, ["n/etc/one", "n/etc/two"]);
    }
}
