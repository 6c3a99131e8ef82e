//! Files as archives, for builds and uploads: the same files give the same bytes, whatever the time and the machine.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::borrow::Cow;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Path in the archive, without a leading slash.
    pub path: Cow<'a, str>,
    /// Permissions.
    pub mode: u32,
    /// Content.
    pub data: Cow<'a, [u8]>,
}

impl<'a> File<'a> {
    /// A file with owned or borrowed parts.
    pub fn new(path: impl Into<Cow<'a, str>>, mode: u32, data: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            path: path.into(),
            mode,
            data: data.into(),
        }
    }
}

/// A file of the repository, in the binary. A table and not a walk over a folder: it carries the mode.
macro_rules! embedded {
    ($root:literal: $($mode:literal $path:literal),+ $(,)?) => {
        [$(($path, $mode, include_bytes!(concat!("../../", $root, "/", $path)).as_slice())),+]
    };
}

type Embedded = (&'static str, u32, &'static [u8]);

const BUILDER: [Embedded; 2] = embedded!("images/builder":
    0o644 "Dockerfile",
    0o755 "build-programs",
);

const NODE: [Embedded; 36] = embedded!("images/node":
    0o644 "Dockerfile",
    0o644 "files/etc/containerd/config.toml",
    0o644 "files/etc/systemd/journald.conf.d/local-cluster.conf",
    0o644 "files/etc/systemd/system.conf.d/local-cluster.conf",
    0o644 "files/etc/systemd/system/containerd.service",
    0o644 "files/etc/systemd/system/kubelet.service",
    0o644 "files/etc/systemd/system/local-cluster-api-phase@.service",
    0o644 "files/etc/systemd/system/local-cluster-kubelet-again.service",
    0o644 "files/etc/systemd/system/local-cluster-leases.service",
    0o644 "files/etc/systemd/system/local-cluster-master.target",
    0o644 "files/etc/systemd/system/local-cluster-network.service",
    0o644 "files/etc/systemd/system/local-cluster-node.target",
    0o644 "files/etc/systemd/system/local-cluster-phase@.service",
    0o644 "files/etc/systemd/system/local-cluster-pods.service",
    0o644 "files/etc/systemd/system/local-cluster-preload.service",
    0o644 "files/etc/systemd/system/local-cluster-worker.target",
    0o755 "files/usr/local/lib/local-cluster/archive",
    0o755 "files/usr/local/lib/local-cluster/assemble",
    0o755 "files/usr/local/lib/local-cluster/await-api",
    0o755 "files/usr/local/lib/local-cluster/dns-probe",
    0o755 "files/usr/local/lib/local-cluster/entrypoint",
    0o755 "files/usr/local/lib/local-cluster/etcd-member",
    0o755 "files/usr/local/lib/local-cluster/install",
    0o755 "files/usr/local/lib/local-cluster/kubelet-again",
    0o755 "files/usr/local/lib/local-cluster/load-balancer",
    0o755 "files/usr/local/lib/local-cluster/network",
    0o755 "files/usr/local/lib/local-cluster/phase",
    0o755 "files/usr/local/lib/local-cluster/phases",
    0o755 "files/usr/local/lib/local-cluster/preload",
    0o755 "files/usr/local/lib/local-cluster/preload-mounts",
    0o755 "files/usr/local/lib/local-cluster/release-leases",
    0o755 "files/usr/local/lib/local-cluster/snapshot",
    0o644 "files/usr/local/lib/local-cluster/state-paths",
    0o755 "files/usr/local/lib/local-cluster/stop-pods",
    0o755 "files/usr/local/lib/local-cluster/trouble",
    0o755 "files/usr/local/lib/local-cluster/tunnel",
);

const TESTS: [Embedded; 4] = embedded!("images/tests":
    0o644 "Dockerfile",
    0o755 "assemble-tests",
    0o755 "install-tests",
    0o755 "run-tests",
);

/// The builder image's context.
pub fn builder(ca_bundle: Option<&[u8]>) -> Vec<u8> {
    context(&BUILDER, ca_bundle)
}

/// The node image's context.
pub fn node(ca_bundle: Option<&[u8]>) -> Vec<u8> {
    context(&NODE, ca_bundle)
}

/// The context of the image that tests run in.
pub fn tests(ca_bundle: Option<&[u8]>) -> Vec<u8> {
    context(&TESTS, ca_bundle)
}

fn context(embedded: &[Embedded], ca_bundle: Option<&[u8]>) -> Vec<u8> {
    let mut files: Vec<File<'_>> = embedded
        .iter()
        .map(|&(path, mode, data)| File::new(path, mode, data))
        .collect();
    if let Some(bundle) = ca_bundle {
        files.push(File::new("authorities/ca-certificates.crt", 0o644, bundle));
    }
    // The folder is there even when the client has no bundle: COPY fails on a name that does not exist.
    files.push(File::new("authorities/", 0o755, Vec::new()));
    archive(&files)
}

/// A tar archive: paths sorted, owned by root, from the beginning of time. A path that ends in `/` is a folder.
pub fn archive(files: &[File<'_>]) -> Vec<u8> {
    let mut sorted: Vec<&File<'_>> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut builder = tar::Builder::new(Vec::new());
    for file in sorted {
        let mut header = tar::Header::new_gnu();
        header.set_mode(file.mode);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(file.data.len() as u64);
        if file.path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        builder
            .append_data(&mut header, file.path.as_ref(), file.data.as_ref())
            .expect("writing to memory does not fail, and our paths are relative");
    }
    builder
        .into_inner()
        .expect("writing to memory does not fail")
}

/// A tar archive of one file whose content is too large for memory, as a stream.
pub fn stream_one(
    path: &str,
    mode: u32,
    size: u64,
    content: impl AsyncRead + Send + 'static,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let mut header = tar::Header::new_gnu();
    header
        .set_path(path)
        .expect("our own paths are short and relative");
    header.set_mode(mode);
    header.set_size(size);
    header.set_cksum();
    // Content is filled up to a multiple of 512 bytes; two empty blocks end an archive.
    let padding = (512 - size % 512) % 512 + 1024;
    let before = Bytes::copy_from_slice(header.as_bytes());
    let after = Bytes::from(vec![
        0;
        usize::try_from(padding)
            .expect("less than two blocks and a half")
    ]);
    let once = |bytes| futures_util::stream::once(std::future::ready(Ok(bytes)));
    once(before)
        .chain(ReaderStream::with_capacity(content, 1 << 18))
        .chain(once(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn walk(root: &Path, below: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(below).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn every_file_of_the_contexts_is_in_its_table() {
        for (folder, table) in [
            ("images/builder", BUILDER.as_slice()),
            ("images/node", NODE.as_slice()),
            ("images/tests", TESTS.as_slice()),
        ] {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let mut found = Vec::new();
            walk(&root, &root, &mut found);
            found.sort();
            let mut listed: Vec<_> = table.iter().map(|(path, ..)| (*path).to_owned()).collect();
            listed.sort();
            assert_eq!(found, listed);
        }
    }

    #[test]
    fn the_same_files_give_the_same_bytes_in_any_order() {
        let (a, b) = (
            File::new("a", 0o644, b"1".as_slice()),
            File::new("b", 0o755, b"2".as_slice()),
        );
        assert_eq!(archive(&[a.clone(), b.clone()]), archive(&[b, a]));
    }
}
