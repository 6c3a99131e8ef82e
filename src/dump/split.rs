//! Takes a dump apart into files again, and says what of it could not be saved.

use super::index;
use super::log::{Ending, Finder, Found};
use super::name;
use super::pack::unpack;
use super::spool::{make_directory, make_file};
use super::wire::{Piece, Reader};
use crate::source::digest::hex;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A longer line of a log is taken for several.
const LONGEST_LINE: u64 = 64 * 1024;

/// What became of a dump.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Where its files are.
    pub directory: PathBuf,
    /// How many.
    pub files: usize,
    /// What could not be saved, or not as it was: a line each.
    pub lost: Vec<String>,
}

/// Splits into a directory.
struct Splitter {
    directory: PathBuf,
    file: Option<BufWriter<File>>,
    seen: BTreeSet<String>,
    lost: Vec<String>,
}

impl Splitter {
    fn new(directory: &Path) -> io::Result<Self> {
        make_directory(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            file: None,
            seen: BTreeSet::new(),
            lost: Vec::new(),
        })
    }

    fn take(&mut self, piece: &Piece<'_>) -> io::Result<()> {
        match *piece {
            Piece::Content(content) => match &mut self.file {
                Some(file) => file.write_all(content),
                None => Ok(()),
            },
            Piece::File(name) => {
                if let Some(mut file) = self.file.take() {
                    file.flush()?;
                }
                if let Some(fault) = name::fault(name) {
                    let shown = crate::report::strip_controls(name);
                    self.lost
                        .push(format!("`{shown}` is refused as a name: {fault}"));
                    return Ok(());
                }
                let path = self.directory.join(name);
                let opened = if self.seen.contains(name) {
                    OpenOptions::new().append(true).open(&path)
                } else {
                    make_file(&path)
                };
                match opened {
                    Ok(file) => {
                        self.seen.insert(name.to_owned());
                        self.file = Some(BufWriter::new(file));
                        Ok(())
                    }
                    // One name is a directory of another.
                    Err(error) if is_about_the_name(&error) => {
                        self.lost.push(format!("`{name}` cannot be made: {error}"));
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn finish(mut self) -> io::Result<Saved> {
        if let Some(mut file) = self.file.take() {
            file.flush()?;
        }
        if self.seen.contains(index::NAME) {
            self.compare()?;
        }
        Ok(Saved {
            directory: self.directory,
            files: self.seen.len(),
            lost: self.lost,
        })
    }

    /// Looks whether all is there that the dump's own index lists, byte for byte.
    fn compare(&mut self) -> io::Result<()> {
        let index = std::fs::read(self.directory.join(index::NAME))?;
        for listed in index::files(&String::from_utf8_lossy(&index)) {
            if !self.seen.contains(&listed.path) {
                self.lost.push(format!("`{}` is missing", listed.path));
                continue;
            }
            let mut file = File::open(self.directory.join(&listed.path))?;
            let (mut digest, mut size, mut part) = (Sha256::new(), 0, vec![0; 64 * 1024]);
            loop {
                let some = file.read(&mut part)?;
                if some == 0 {
                    break;
                }
                digest.update(&part[..some]);
                size += some;
            }
            if hex(&digest.finalize()) != listed.sha256 {
                let text = format!(
                    "`{}` is not as it was: {size} of {} bytes",
                    listed.path, listed.size
                );
                self.lost.push(text);
            }
        }
        Ok(())
    }
}

fn is_about_the_name(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::NotADirectory | Kind::IsADirectory | Kind::AlreadyExists | Kind::InvalidFilename
    )
}

/// Where a text comes from that may be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Plain,
    Packed,
}

/// Splits a text into the files of a directory. None where it is no dump.
pub fn split(text: impl Read, directory: &Path) -> io::Result<Option<Saved>> {
    split_from(text, directory, Origin::Plain)
}

fn split_from(mut text: impl Read, directory: &Path, origin: Origin) -> io::Result<Option<Saved>> {
    let mut splitter = Splitter::new(directory)?;
    let mut reader = Reader::default();
    let mut part = vec![0; 64 * 1024];
    loop {
        let some = match text.read(&mut part) {
            Ok(0) => break,
            Ok(some) => some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // It is damaged: what is whole before stays.
            Err(error) if origin == Origin::Packed => {
                reader.finish(&mut |piece| splitter.take(&piece))?;
                let mut saved = splitter.finish()?;
                saved
                    .lost
                    .insert(0, format!("the rest could not be unpacked: {error}"));
                return Ok(Some(saved));
            }
            Err(error) => return Err(error),
        };
        reader.read(&part[..some], &mut |piece| splitter.take(&piece))?;
    }
    let found = reader.finish(&mut |piece| splitter.take(&piece))?;
    let saved = splitter.finish()?;
    if !found {
        // It is empty, or was there before.
        let _ = std::fs::remove_dir(directory);
    }
    Ok(found.then_some(saved))
}

/// The dumps of a log, still compressed, each in a file that has no name.
fn packed(mut log: impl BufRead) -> io::Result<Vec<(File, Ending)>> {
    let mut found: Vec<(BufWriter<File>, Ending)> = Vec::new();
    let mut take = |piece: Found| -> io::Result<()> {
        match (piece, found.last_mut()) {
            (Found::Begin, _) => {
                found.push((BufWriter::new(tempfile::tempfile()?), Ending::default()));
            }
            (Found::Bytes(bytes), Some((file, _))) => file.write_all(&bytes)?,
            (Found::End(ending), Some((_, end))) => *end = ending,
            (_, None) => {}
        }
        Ok(())
    };
    let mut finder = Finder::default();
    let (mut line, mut number) = (Vec::new(), 1);
    while (&mut log).take(LONGEST_LINE).read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        for part in text.split(|byte| *byte == b'\r') {
            finder.line(part, number, &mut take)?;
        }
        number += u64::from(text.len() < line.len());
        line.clear();
    }
    finder.finish(&mut take)?;
    found
        .into_iter()
        .map(|(file, ending)| {
            Ok((
                file.into_inner().map_err(io::IntoInnerError::into_error)?,
                ending,
            ))
        })
        .collect()
}

/// Counts what is read.
struct Counted<'c, R>(R, &'c mut u64);

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let some = self.0.read(buffer)?;
        *self.1 += some as u64;
        Ok(some)
    }
}

/// The last bytes with which it can be unpacked; where none help, none.
fn tail(file: &mut File, ending: &Ending) -> io::Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    for tail in &ending.tails {
        if ending.tails.len() == 1 {
            break;
        }
        file.seek(SeekFrom::Start(0))?;
        let mut read = 0;
        let whole = unpack(Counted(&*file, &mut read).chain(tail.as_slice()))
            .and_then(|mut text| io::copy(&mut text, &mut io::sink()));
        if whole.is_ok() {
            return Ok(tail.clone());
        }
        // It is damaged long before the end.
        if read < length {
            break;
        }
    }
    Ok(ending.tails.first().cloned().unwrap_or_default())
}

/// Finds the packed dumps of a log, and splits each: the first into this directory, others into `DIRECTORY-2` and so on.
pub fn split_log(log: impl BufRead, directory: &Path) -> io::Result<Vec<Saved>> {
    let mut all = Vec::new();
    for (number, (mut file, ending)) in packed(log)?.into_iter().enumerate() {
        let mut name = directory.as_os_str().to_owned();
        if number > 0 {
            name.push(format!("-{}", number + 1));
        }
        let tail = tail(&mut file, &ending)?;
        file.seek(SeekFrom::Start(0))?;
        let text = unpack(file.chain(tail.as_slice()))?;
        let mut saved =
            split_from(text, Path::new(&name), Origin::Packed)?.unwrap_or_else(|| Saved {
                directory: PathBuf::from(&name),
                lost: vec!["there are no files in it".to_owned()],
                ..Saved::default()
            });
        if !saved.lost.is_empty() {
            let broken = ending
                .broken
                .iter()
                .map(|line| format!("line {line} of the log has only a part of what it had"));
            let end = (!ending.marked).then(|| "the log ends before the dump does".to_owned());
            saved.lost.splice(0..0, end.into_iter().chain(broken));
        }
        all.push(saved);
    }
    Ok(all)
}
