//! The text form of a dump. PURE.
//!
//! A line `@@@ NAME @@@` begins a file, and what follows is its content, up to the next such line. What comes before the
//! first is for people. That is the older tool's form; it takes the first word as the name, and makes no directories. So
//! a name comes twice, `@@@ a__b.txt a/b.txt @@@`: first as that tool can use it, then as it is. In a file that is named
//! so, a line that looks like a marker has one blank before it more than it had.

use super::name;
use std::io::{self, BufRead, Write};

/// A longer line is no marker.
const LONGEST: usize = 4096;

/// What a marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The file's name, whatever it leads to.
    pub name: String,
    /// Lines that look like markers have a blank more.
    indented: bool,
}

/// The marker that a line is, if it is one.
fn marker(line: &[u8]) -> Option<Marker> {
    if line.len() > LONGEST {
        return None;
    }
    if line.len() < 8 || !line.starts_with(b"@@@ ") || !line.ends_with(b" @@@") {
        return None;
    }
    let text = String::from_utf8_lossy(line);
    let words: Vec<&str> = text.split_whitespace().take(5).collect();
    Some(match words.as_slice() {
        [_, first, path, _] if name::flat(path) == *first => Marker {
            name: (*path).to_owned(),
            indented: true,
        },
        words => Marker {
            name: words
                .get(1)
                .map_or_else(String::new, |name| (*name).to_owned()),
            indented: false,
        },
    })
}

/// Writes a dump in its text form.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Begins with a line for people.
    pub fn begin(mut out: W, banner: &str) -> io::Result<Self> {
        writeln!(out, "{banner}")?;
        Ok(Self { out })
    }

    /// Writes a file; a last line that is not ended is ended. It holds a line at a time.
    pub fn file(&mut self, path: &str, mut content: impl BufRead) -> io::Result<()> {
        writeln!(self.out, "@@@ {} {path} @@@", name::flat(path))?;
        let mut line = Vec::new();
        while content.read_until(b'\n', &mut line)? > 0 {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let blanks = text.iter().take_while(|byte| **byte == b' ').count();
            if marker(&text[blanks..]).is_some() {
                self.out.write_all(b" ")?;
            }
            self.out.write_all(text)?;
            self.out.write_all(b"\n")?;
            line.clear();
        }
        Ok(())
    }

    /// Ends the dump.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// What is read of a dump.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A file begins, or goes on if there was one of that name.
    File(&'a str),
    /// More of its content.
    Content(&'a [u8]),
}

/// Reads a dump in its text form, whatever parts it comes in, and never holds more than a marker can be long.
#[derive(Debug, Default)]
pub struct Reader {
    file: Option<Marker>,
    /// Blanks at the beginning of the line.
    blanks: usize,
    /// What follows them, as long as it may be a marker.
    line: Vec<u8>,
    /// The line is known to be none.
    is_content: bool,
}

impl Reader {
    /// Takes the next part.
    pub fn read<E>(
        &mut self,
        mut part: &[u8],
        take: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !part.is_empty() {
            let end = part.iter().position(|byte| *byte == b'\n');
            let (mut text, rest) = part.split_at(end.map_or(part.len(), |end| end + 1));
            part = rest;
            if !self.is_content {
                if self.line.is_empty() {
                    let blanks = text.iter().take_while(|byte| **byte == b' ').count();
                    self.blanks += blanks;
                    text = &text[blanks..];
                }
                self.line.extend_from_slice(text);
                let ended = end.is_some();
                let could_be = b"@@@ ".starts_with(&self.line[..self.line.len().min(4)]);
                if ended {
                    self.line(take)?;
                } else if !could_be || self.line.len() > LONGEST {
                    self.is_content = true;
                    self.flush(take)?;
                }
                continue;
            }
            self.content(text, take)?;
            self.is_content = end.is_none();
        }
        Ok(())
    }

    /// A line that is whole, or the last one.
    fn line<E>(&mut self, take: &mut impl FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        if let Some(found) = marker(text) {
            if self.blanks == 0 {
                self.line.clear();
                take(Piece::File(&found.name))?;
                self.file = Some(found);
                return Ok(());
            }
            if self.file.as_ref().is_some_and(|file| file.indented) {
                self.blanks -= 1;
            }
        }
        self.flush(take)
    }

    fn flush<E>(&mut self, take: &mut impl FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
        let line = std::mem::take(&mut self.line);
        while self.blanks > 0 {
            let some = self.blanks.min(64);
            self.content(&[b' '; 64][..some], take)?;
            self.blanks -= some;
        }
        self.content(&line, take)
    }

    fn content<E>(
        &self,
        text: &[u8],
        take: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.file.is_some() && !text.is_empty() {
            take(Piece::Content(text))?;
        }
        Ok(())
    }

    /// Takes what is left of a last line that was not ended; tells whether there was any file.
    pub fn finish<E>(
        mut self,
        take: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        if !self.is_content {
            self.line(take)?;
        }
        Ok(self.file.is_some())
    }
}

#[cfg(test)]
mod tests;
