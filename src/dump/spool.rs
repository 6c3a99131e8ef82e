//! The directory that a dump is collected in: each file without its secrets, private to the user, and with its digest.

use super::index::File as Entry;
use super::name;
use super::redact::Redactor;
use crate::source::digest::hex;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What of a longer line is not held: it is left out.
const LONGEST_LINE: usize = 1 << 20;
/// What of a longer file is left out.
const LONGEST: u64 = 64 << 20;

/// Makes a directory and those above it, for the user alone.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a file that is not there yet, for the user alone.
pub fn make_file(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Whether an error is about one file, and others can be written all the same: its name is none, or there are too many
/// open at this time.
pub fn is_about_one(error: &io::Error) -> bool {
    let is_name = matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::AlreadyExists
    );
    let too_many = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    is_name
        || error
            .raw_os_error()
            .is_some_and(|code| too_many.contains(&code))
}

/// A directory that a dump is collected in.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    files: Mutex<Vec<Entry>>,
}

impl Spool {
    /// One that is there, and empty.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            files: Mutex::default(),
        }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Begins a file.
    pub fn file(&self, path: &str) -> io::Result<Sink<'_>> {
        if let Some(fault) = name::fault(path) {
            let text = format!("`{path}` cannot be a name: {fault}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let file = make_file(&self.directory.join(path))?;
        Ok(Sink {
            spool: self,
            path: path.to_owned(),
            file: Some(BufWriter::new(file)),
            redactor: Redactor::default(),
            line: Vec::new(),
            left_out: 0,
            size: 0,
            digest: Sha256::new(),
            is_cut: false,
            error: None,
        })
    }

    /// A file whose text is there.
    pub fn text(&self, path: &str, text: &str) -> io::Result<()> {
        let mut sink = self.file(path)?;
        sink.take(text.as_bytes());
        sink.finish(false).map(|_| ())
    }

    /// All files that were finished, in the order of a dump.
    pub fn files(&self) -> Vec<Entry> {
        let mut files = self
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        files.sort_by(|a, b| super::index::rank(&a.path).cmp(&super::index::rank(&b.path)));
        files
    }
}

/// A file that is being written. What is taken is written line by line, without secrets.
#[derive(Debug)]
pub struct Sink<'s> {
    spool: &'s Spool,
    path: String,
    /// None while it rests.
    file: Option<BufWriter<File>>,
    redactor: Redactor,
    line: Vec<u8>,
    /// How many bytes of this line are not kept.
    left_out: usize,
    size: u64,
    digest: Sha256,
    is_cut: bool,
    error: Option<io::Error>,
}

impl Sink<'_> {
    /// Takes the next part. An error is told at the end.
    pub fn take(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            let end = part.iter().position(|byte| *byte == b'\n');
            let (text, rest) = part.split_at(end.unwrap_or(part.len()));
            let room = LONGEST_LINE.saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(&text[..room]);
            self.left_out += text.len() - room;
            part = rest;
            if end.is_some() {
                part = &part[1..];
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if self.left_out > 0 {
            // A secret that is cut off at the end of what is kept would not be known as one.
            line.truncate(LONGEST_LINE / 2);
            let left_out = self.left_out + LONGEST_LINE / 2;
            line.extend_from_slice(
                format!(" [{left_out} bytes of this line are left out]").as_bytes(),
            );
            self.left_out = 0;
        }
        if self.size >= LONGEST {
            self.is_cut = true;
        } else if self.error.is_none()
            && let Some(clean) = self.redactor.line(&line)
        {
            let path = self.spool.directory.join(&self.path);
            let written = opened(&mut self.file, &path).and_then(|file| {
                file.write_all(&clean)?;
                file.write_all(b"\n")
            });
            match written {
                Ok(()) => {
                    self.digest.update(&clean);
                    self.digest.update(b"\n");
                    self.size += clean.len() as u64 + 1;
                }
                Err(error) => self.error = Some(error),
            }
        }
        line.clear();
        self.line = line;
    }

    /// Closes the file until more is taken: where there are many, they are not all open at once.
    pub fn rest(&mut self) {
        if let Some(mut file) = self.file.take()
            && let Err(error) = file.flush()
        {
            self.error.get_or_insert(error);
        }
        if self.line.is_empty() {
            self.line = Vec::new();
        }
    }

    /// Ends the file; tells whether it was too long to be kept whole. One that has failed and is empty is no file.
    pub fn finish(mut self, has_failed: bool) -> io::Result<bool> {
        if !self.line.is_empty() || self.left_out > 0 {
            self.end_line();
        }
        self.rest();
        let error = self.error.take();
        if error.as_ref().is_some_and(|error| !is_about_one(error)) {
            return error.map_or(Ok(false), Err);
        }
        if self.size == 0 && (has_failed || error.is_some()) {
            std::fs::remove_file(self.spool.directory.join(&self.path))?;
            return error.map_or(Ok(false), Err);
        }
        let sha256 = hex(&self.digest.finalize());
        let entry = Entry {
            path: self.path,
            size: self.size,
            sha256,
        };
        self.spool
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
        error.map_or(Ok(self.is_cut), Err)
    }
}

/// The file of a sink, opened again if it rests.
fn opened<'f>(
    file: &'f mut Option<BufWriter<File>>,
    path: &Path,
) -> io::Result<&'f mut BufWriter<File>> {
    match file {
        Some(file) => Ok(file),
        none => {
            let again = OpenOptions::new().append(true).open(path)?;
            Ok(none.insert(BufWriter::new(again)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_private_and_have_no_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path().join("dump"));
        let mut sink = spool.file("a/b/c.txt").unwrap();
        for part in [&b"pass"[..], b"word: hun", b"ter2\nno", b" end"] {
            sink.take(part);
        }
        assert!(!sink.finish(false).unwrap());
        let path = spool.directory().join("a/b/c.txt");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "password: [redacted]\nno end\n"
        );
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        for directory in [path.parent().unwrap(), spool.directory()] {
            assert_eq!(mode(directory), 0o700);
        }
        let files = spool.files();
        assert_eq!((files[0].path.as_str(), files[0].size), ("a/b/c.txt", 28));
        assert_eq!(
            files[0].sha256,
            hex(&Sha256::digest(b"password: [redacted]\nno end\n"))
        );
        assert!(spool.file("a/b/c.txt").is_err());
        assert!(spool.file("../x").is_err());
    }

    #[test]
    fn a_file_that_rests_goes_on_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path().to_owned());
        let mut sinks: Vec<Sink<'_>> = (0..3000)
            .map(|number| {
                let mut sink = spool.file(&format!("{number}/a")).unwrap();
                sink.take(b"one\npassword");
                sink.rest();
                sink
            })
            .collect();
        assert!(sinks.iter().all(|sink| sink.file.is_none()));
        for sink in &mut sinks {
            sink.take(b"=x\ntwo\n");
            sink.rest();
        }
        for sink in sinks {
            sink.finish(false).unwrap();
        }
        let wanted = "one\npassword=[redacted]\ntwo\n";
        let text = std::fs::read_to_string(directory.path().join("2999/a")).unwrap();
        assert_eq!(text, wanted);
        let files = spool.files();
        assert_eq!(files.len(), 3000);
        let digest = hex(&Sha256::digest(wanted));
        assert!(files.iter().all(|file| file.sha256 == digest));
    }

    #[test]
    fn what_is_about_one_file_keeps_what_it_has() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path().to_owned());
        let too_many = || io::Error::from(Errno::MFILE);
        let mut sink = spool.file("a").unwrap();
        sink.take(b"one\n");
        sink.error = Some(too_many());
        sink.take(b"two\n");
        assert!(is_about_one(&sink.finish(false).unwrap_err()));
        assert_eq!(spool.files()[0].size, 4);
        let mut sink = spool.file("b").unwrap();
        sink.error = Some(too_many());
        assert!(is_about_one(&sink.finish(false).unwrap_err()));
        assert!(spool.files().len() == 1 && !directory.path().join("b").exists());
        assert!(!is_about_one(&Errno::NOSPC.into()));
    }

    #[test]
    fn no_line_and_no_file_is_longer_than_can_be_held() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path().to_owned());
        let mut sink = spool.file("long").unwrap();
        for _ in 0..300 {
            sink.take(&[b'a'; 10_000]);
        }
        assert!(sink.line.len() <= LONGEST_LINE);
        sink.take(b"password=x\nnext\n");
        sink.finish(false).unwrap();
        let text = std::fs::read_to_string(directory.path().join("long")).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.ends_with("bytes of this line are left out]") && first.len() < LONGEST_LINE);
        assert_eq!(rest, "next\n");
    }
}
