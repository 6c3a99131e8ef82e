//! The writing of a file.

use super::{BLOCK, Counted, EMPTY, Kind, LEVEL, MANIFEST, MANIFEST_SIZE, Manifest, Part, header};
use std::io::{self, Seek, SeekFrom, Write};

/// A file that is written.
pub struct Writer<F: Write + Seek> {
    file: F,
    parts: Vec<Part>,
}

/// A part that is written.
pub struct PartWriter<F: Write + Seek> {
    kind: Kind,
    start: u64,
    unpacked: u64,
    parts: Vec<Part>,
    to: zstd::stream::write::Encoder<'static, Counted<F>>,
}

impl<F: Write + Seek> Writer<F> {
    /// Begins a file.
    pub fn begin(mut file: F) -> io::Result<Self> {
        let room = MANIFEST_SIZE.div_ceil(BLOCK).saturating_add(1) * BLOCK;
        file.seek(SeekFrom::Start(room))?;
        Ok(Self {
            file,
            parts: Vec::new(),
        })
    }

    /// Begins the next part.
    pub fn part(mut self, kind: Kind) -> io::Result<PartWriter<F>> {
        let start = self.file.stream_position()?;
        self.file.write_all(&EMPTY)?;
        Ok(PartWriter {
            kind,
            start,
            unpacked: 0,
            parts: self.parts,
            to: zstd::stream::write::Encoder::new(Counted::new(self.file), LEVEL)?,
        })
    }

    /// Ends the file: from now on it is one.
    pub fn finish(mut self, mut manifest: Manifest) -> io::Result<(F, Manifest)> {
        self.file.write_all(&[EMPTY, EMPTY].concat())?;
        manifest.parts = self.parts;
        let mut text = serde_json::to_vec_pretty(&manifest)?;
        let size = usize::try_from(MANIFEST_SIZE).unwrap_or(usize::MAX);
        if text.len() >= size {
            return Err(io::Error::other("there is too much to say of the snapshot"));
        }
        text.resize(size - 1, b' ');
        text.push(b'\n');
        self.file.seek(SeekFrom::Start(0))?;
        self.file
            .write_all(header(MANIFEST, MANIFEST_SIZE)?.as_bytes())?;
        self.file.write_all(&text)?;
        self.file.flush()?;
        Ok((self.file, manifest))
    }
}

impl<F: Write + Seek> PartWriter<F> {
    /// Takes some of the part's tar archive.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unpacked += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    /// Ends the part.
    pub fn finish(self) -> io::Result<Writer<F>> {
        let written = self.to.finish()?;
        let part = Part {
            kind: self.kind,
            size: written.size,
            unpacked: self.unpacked,
            sha256: written.hex(),
        };
        let mut file = written.inner;
        let padding = part.size.next_multiple_of(BLOCK) - part.size;
        file.write_all(&vec![0; usize::try_from(padding).unwrap_or(0)])?;
        let end = file.stream_position()?;
        file.seek(SeekFrom::Start(self.start))?;
        file.write_all(header(part.kind.entry(), part.size)?.as_bytes())?;
        file.seek(SeekFrom::Start(end))?;
        let mut parts = self.parts;
        parts.push(part);
        Ok(Writer { file, parts })
    }
}
