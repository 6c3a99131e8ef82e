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
        let mut missing = Vec::new();
        for listed in index::files(&String::from_utf8_lossy(&index)) {
            if !self.seen.contains(&listed.path) {
                missing.push(listed.path);
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
        self.lost.extend(tell_missing(&missing));
        Ok(())
    }
}

/// A line about files that are not there, however many: a log that is cut off lacks most of them.
fn tell_missing(missing: &[String]) -> Option<String> {
    const NAMED: usize = 5;
    let named: Vec<String> = missing
        .iter()
        .take(NAMED)
        .map(|path| format!("`{path}`"))
        .collect();
    let named = named.join(", ");
    match missing.len() {
        0 => None,
        1 => Some(format!("{named} is missing")),
        count if count <= NAMED => Some(format!("{named} are missing")),
        count => Some(format!("{named} and {} others are missing", count - NAMED)),
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

/// A dump that was found in a log, still compressed, in a file that has no name.
#[derive(Debug)]
pub struct Packed {
    file: File,
    ending: Ending,
}

/// What the dumps of a log may become: a small log can say that it is any size.
pub const LARGEST: u64 = 4 << 30;

/// The dumps of a log.
pub fn packed(mut log: impl BufRead) -> io::Result<Vec<Packed>> {
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
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok(Packed { file, ending })
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

/// Gives so many bytes of something, and then an error if there are more.
struct Limited<'l, R> {
    inner: R,
    left: &'l mut u64,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(*self.left).unwrap_or(usize::MAX);
        if room == 0 && !buffer.is_empty() {
            let more = self.inner.read(&mut buffer[..1])?;
            let text = format!("there is more in it than {} GiB", LARGEST >> 30);
            return if more == 0 {
                Ok(0)
            } else {
                Err(io::Error::other(text))
            };
        }
        let some = buffer.len().min(room);
        let some = self.inner.read(&mut buffer[..some])?;
        *self.left -= some as u64;
        Ok(some)
    }
}

/// The last bytes with which it can be unpacked; where none help, none.
fn tail(file: &mut File, ending: &Ending, room: u64) -> io::Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    for tail in &ending.tails {
        if ending.tails.len() == 1 {
            break;
        }
        file.seek(SeekFrom::Start(0))?;
        let (mut read, mut left) = (0, room);
        let text = unpack(Counted(&*file, &mut read).chain(tail.as_slice()));
        let whole = text.and_then(|inner| {
            let mut text = Limited {
                inner,
                left: &mut left,
            };
            io::copy(&mut text, &mut io::sink())
        });
        if whole.is_ok() {
            return Ok(tail.clone());
        }
        // It is damaged long before the end, or too large.
        if read < length || left == 0 {
            break;
        }
    }
    Ok(ending.tails.first().cloned().unwrap_or_default())
}

/// The directory of each of so many dumps of a log: this one, and `DIRECTORY-2` and so on.
pub fn directories(directory: &Path, count: usize) -> Vec<PathBuf> {
    let name = |number: usize| {
        let mut name = directory.as_os_str().to_owned();
        if number > 1 {
            name.push(format!("-{number}"));
        }
        PathBuf::from(name)
    };
    (1..=count).map(name).collect()
}

/// Splits a dump of a log into a directory. All dumps of a log share the `room`: so many bytes they may become.
pub fn split_packed(packed: Packed, directory: &Path, room: &mut u64) -> io::Result<Saved> {
    let Packed { mut file, ending } = packed;
    let tail = tail(&mut file, &ending, *room)?;
    file.seek(SeekFrom::Start(0))?;
    let text = Limited {
        inner: unpack(file.chain(tail.as_slice()))?,
        left: room,
    };
    let mut saved = split_from(text, directory, Origin::Packed)?.unwrap_or_else(|| Saved {
        directory: directory.to_owned(),
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
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::super::pack::Packer;
    use super::*;

    #[test]
    fn no_more_is_unpacked_than_there_is_room_for() {
        let mut packer = Packer::begin(Vec::new()).unwrap();
        packer.write_all(b"x\n@@@ a @@@\n").unwrap();
        packer.write_all(&vec![b'a'; 3_000_000]).unwrap();
        let log = packer.finish().unwrap();
        assert!(log.len() < 4000);
        let place = tempfile::tempdir().unwrap();
        for (room, whole) in [(1 << 20, false), (3_000_011, false), (3_000_012, true)] {
            let mut left = room;
            let directory = place.path().join(room.to_string());
            let found = packed(log.as_slice()).unwrap().remove(0);
            let saved = split_packed(found, &directory, &mut left).unwrap();
            assert_eq!(saved.lost.is_empty(), whole, "{:?}", saved.lost);
            let size = std::fs::metadata(directory.join("a")).unwrap().len();
            assert_eq!((size, left), (room - 12, 0));
            let told = saved.lost.concat();
            assert_eq!(told.contains("more in it than 4 GiB"), !whole, "{told}");
        }
    }

    #[test]
    fn what_is_missing_is_told_in_one_line() {
        let told = |count: usize| {
            let paths: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            tell_missing(&paths).unwrap_or_default()
        };
        assert_eq!(told(0), "");
        assert_eq!(told(1), "`0` is missing");
        assert_eq!(told(2), "`0`, `1` are missing");
        assert_eq!(told(7), "`0`, `1`, `2`, `3`, `4` and 2 others are missing");
    }
}
