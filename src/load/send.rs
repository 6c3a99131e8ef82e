//! Asks nodes what they have, and sends them what they lack.

use super::bundle::{Bundle, Bytes, Part};
use super::held::{ASK, Held};
use crate::engine::{Engine, EngineError};
use bytes::Bytes as Chunk;
use futures_util::{Stream, StreamExt, stream};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// What is read of the spool at once.
const CHUNK: u64 = 1 << 20;
/// Tar archives are made of blocks.
const BLOCK: u64 = 512;

/// A runtime that hangs answers nobody, and nobody ends the question in the node when the program has ended.
const ASKING: [&str; 4] = ["timeout", "-k", "1", "20"];
/// Longer than any import takes: only what hangs is ended.
const IMPORTING: [&str; 4] = ["timeout", "-k", "1", "3600"];
/// How `timeout` ends where it has ended something, and where it had to kill it.
const TOO_LATE: [i64; 2] = [124, 137];

/// What a node has.
pub async fn ask(engine: &Engine, container: &str) -> Result<Held, EngineError> {
    let command = [&ASKING[..], &["sh", "-c", ASK]].concat();
    let answer = engine.exec(container, &command).await?;
    if answer.status == 0 {
        return Ok(Held::read(&answer.text()));
    }
    let mut output = answer.tail(5);
    if TOO_LATE.contains(&answer.status) {
        output.push(format!(
            "containerd has not answered within {} s",
            ASKING[3]
        ));
    }
    Err(EngineError::Failed {
        action: format!("ask {container} for its images"),
        status: answer.status,
        output,
    })
}

/// Sends a node what it lacks, and asks it whether it has all then.
pub async fn send(
    engine: &Engine,
    container: &str,
    bundle: &Bundle,
    spool: &Arc<File>,
    passed: impl FnMut(u64) + Send + 'static,
) -> Result<(), EngineError> {
    let import = ["ctr", "-n", "k8s.io", "images", "import", "-"];
    let command = [&IMPORTING[..], &import].concat();
    let input = tar(bundle.parts.clone(), Arc::clone(spool), passed);
    let done = engine.exec_with_input(container, &command, input).await?;
    let failed = |status, output| {
        Err(EngineError::Failed {
            action: format!("import images in {container}"),
            status,
            output,
        })
    };
    if done.status != 0 {
        return failed(done.status, done.tail(10));
    }
    let held = ask(engine, container).await?;
    let mut images = bundle.images.iter();
    let lacking = images.find(|(name, manifest)| !held.names(name, manifest));
    // What was there when it was asked may have been thrown away before the image held it.
    let lost = bundle.blobs.iter().find(|blob| !held.has(blob));
    match (lacking, lost) {
        (None, None) => Ok(()),
        (Some((name, _)), _) => failed(0, vec![format!("image {name} is not there afterwards")]),
        (None, Some(blob)) => failed(0, vec![format!("blob {blob} is not there afterwards")]),
    }
}

/// The parts as a tar archive.
fn tar(
    parts: Vec<Part>,
    spool: Arc<File>,
    mut passed: impl FnMut(u64) + Send + 'static,
) -> impl Stream<Item = io::Result<Chunk>> + Send + 'static {
    let files = stream::iter(parts).flat_map(move |part| file(part, Arc::clone(&spool)));
    // Two empty blocks are the end.
    let end = stream::once(async { Ok(zeros(2 * BLOCK)) });
    files.chain(end).inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            passed(chunk.len() as u64);
        }
    })
}

fn file(part: Part, spool: Arc<File>) -> impl Stream<Item = io::Result<Chunk>> + Send {
    let size = part.bytes.size();
    let header = header(&part.path, size);
    let padding = (BLOCK - size % BLOCK) % BLOCK;
    let content = match part.bytes {
        Bytes::Here(bytes) => stream::once(async { Ok(Chunk::from(bytes)) }).left_stream(),
        Bytes::Spooled { at, size } => stream::unfold(0, move |done| {
            let spool = Arc::clone(&spool);
            async move {
                let count = CHUNK.min(size - done);
                if count == 0 {
                    return None;
                }
                let read = tokio::task::spawn_blocking(move || {
                    let mut buffer = vec![0; usize::try_from(count).unwrap_or_default()];
                    spool.read_exact_at(&mut buffer, at + done)?;
                    Ok(Chunk::from(buffer))
                });
                let chunk = read
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error)));
                Some((chunk, done + count))
            }
        })
        .right_stream(),
    };
    let once = |chunk| stream::once(async { Ok(chunk) });
    Box::pin(once(header).chain(content).chain(once(zeros(padding))))
}

fn header(path: &str, size: u64) -> Chunk {
    let mut header = tar::Header::new_gnu();
    header
        .set_path(path)
        .expect("names of blobs are short and relative");
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    Chunk::copy_from_slice(header.as_bytes())
}

fn zeros(count: u64) -> Chunk {
    Chunk::from(vec![0; usize::try_from(count).unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[tokio::test]
    async fn parts_become_an_archive() {
        let mut spool = tempfile::tempfile().unwrap();
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        spool.write_all(b"before").unwrap();
        spool.write_all(&large).unwrap();
        let part = |path: &str, bytes| Part {
            path: path.to_owned(),
            bytes,
        };
        let parts = vec![
            part(
                "blobs/sha256/a",
                Bytes::Spooled {
                    at: 6,
                    size: 3_000_000,
                },
            ),
            part("blobs/sha256/b", Bytes::Spooled { at: 0, size: 0 }),
            part("index.json", Bytes::Here(b"{}".to_vec())),
        ];
        let chunks: Vec<_> = tar(parts, Arc::new(spool), |_| {}).collect().await;
        let bytes = chunks
            .into_iter()
            .collect::<io::Result<Vec<_>>>()
            .unwrap()
            .concat();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.push((name, content));
        }
        let expected = [
            ("blobs/sha256/a", large),
            ("blobs/sha256/b", Vec::new()),
            ("index.json", b"{}".to_vec()),
        ];
        assert_eq!(
            found,
            expected.map(|(name, content)| (name.to_owned(), content))
        );
    }
}
