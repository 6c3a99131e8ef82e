//! Finds a packed dump in the log of a CI job. PURE.
//!
//! Such a log has more in its lines than was printed: timestamps and names before, colours, carriage returns; long lines
//! may be folded, and lines of others woven in. A line of base64 is known by its length. Folded ones are known by the
//! lengths of their pieces, which are learned from the first that come. What is left is the last line, which is shorter:
//! for that there may be several candidates, and unpacking tells which it is.

use super::pack::{END, START, WIDTH, decode};
use crate::report::strip_controls;
use regex::Regex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

/// So many pieces are looked at before it is said how lines are folded.
const LEARN: usize = 256;
/// No line is folded into more.
const MOST_PIECES: usize = 10;
/// So many short pieces are kept for the end.
const KEEP: usize = 24;
/// So many ways to end are offered.
const MOST_ENDS: usize = 64;
/// So many broken lines are named.
const MOST_BROKEN: usize = 5;

/// What a log has of a dump.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// One begins.
    Begin,
    /// More of it, still compressed.
    Bytes(Vec<u8>),
    /// It ends.
    End(Ending),
}

/// How a packed dump ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The line that ends it is there.
    pub marked: bool,
    /// What its last bytes may be, the likeliest first; the last is none at all.
    pub tails: Vec<Vec<u8>>,
    /// The first lines of the log that have a part of a line of the dump, and not all of it.
    pub broken: Vec<u64>,
}

/// Looks through a log, line by line.
#[derive(Debug, Default)]
pub struct Finder {
    block: Option<Block>,
}

#[derive(Debug, Default)]
struct Block {
    /// What stands before the text of each line, in outline.
    before: String,
    /// Pieces, as long as it is not known how lines are folded.
    learning: Vec<Piece>,
    /// The lengths of a line's pieces.
    fold: Vec<usize>,
    /// Lines are folded, or there was no whole one to tell.
    is_folded: bool,
    /// The pieces of the line that is under way.
    parts: Vec<String>,
    /// Short pieces since the last whole line.
    short: VecDeque<Piece>,
    broken: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Piece {
    text: String,
    line: u64,
}

/// What CI systems put before a line: a time, with or without brackets, a counter of seconds, who has written it.
static STAMPS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?\s*|\[?\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?\]?\s+|\[\s*\d+(?:\.\d+)?s?\]\s*|\d\d[OE] |[\w.-]+\s*\|\s*)+$",
    )
    .expect("the pattern is a constant that a test compiles")
});
/// GitLab's form: a stream's number and letter, and whether the line goes on.
static GITLAB: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\d{4}-\d\d-\d\dT[\d:.]+Z \d\d[OE]\+")
        .expect("the pattern is a constant that a test compiles")
});

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')
}

/// Whether a text is base64 in form, or the end of one: padding only at its end.
fn is_whole(text: &str) -> bool {
    let inner = text.trim_end_matches('=');
    !text.is_empty() && text.len() - inner.len() <= 2 && !inner.contains('=')
}

/// A text in outline: digits are all the same, and their number says nothing.
fn outline(text: &str) -> String {
    let mut outline = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !outline.ends_with('0') {
            outline.push(c);
        }
    }
    outline
}

impl Finder {
    /// Takes the next line, or a part of one between carriage returns, with the line's number.
    pub fn line<E>(
        &mut self,
        line: &[u8],
        number: u64,
        take: &mut impl FnMut(Found) -> Result<(), E>,
    ) -> Result<(), E> {
        let text = strip_controls(&String::from_utf8_lossy(line));
        let text = text.trim_start_matches('\u{feff}').trim_end();
        let text = GITLAB.replace(text, "");
        if let Some(before) = text.strip_suffix(START) {
            self.end(false, take)?;
            self.block = Some(Block {
                before: outline(before),
                ..Block::default()
            });
            return take(Found::Begin);
        }
        if text.ends_with(END) {
            return self.end(true, take);
        }
        match &mut self.block {
            Some(block) => block.line(&text, number, take),
            None => Ok(()),
        }
    }

    /// The log ends.
    pub fn finish<E>(mut self, take: &mut impl FnMut(Found) -> Result<(), E>) -> Result<(), E> {
        self.end(false, take)
    }

    fn end<E>(
        &mut self,
        marked: bool,
        take: &mut impl FnMut(Found) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(mut block) = self.block.take() else {
            return Ok(());
        };
        block.learned(take)?;
        let tails = block.tails();
        block.broken.truncate(MOST_BROKEN);
        take(Found::End(Ending {
            marked,
            tails,
            broken: block.broken,
        }))
    }
}

impl Block {
    fn line<E>(
        &mut self,
        text: &str,
        line: u64,
        take: &mut impl FnMut(Found) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(text) = self.piece(text) else {
            return Ok(());
        };
        let piece = Piece {
            text: text.to_owned(),
            line,
        };
        if !self.fold.is_empty() {
            return self.take(piece, take);
        }
        self.learning.push(piece);
        if self.learning.len() >= LEARN {
            self.learned(take)?;
        }
        Ok(())
    }

    /// What a line has of ours: a run of exactly the right length wherever it stands, or else what it ends in.
    fn piece<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut runs = text.split(|c| !is_base64(c));
        if let Some(run) = runs.find(|run| run.len() == WIDTH && is_whole(run)) {
            return Some(run);
        }
        let last = text.rsplit(|c| !is_base64(c)).next()?;
        if last.len() > WIDTH {
            // Another has printed something and not ended its line.
            let tail = &last[last.len() - WIDTH..];
            return (last.len() < 2 * WIDTH && is_whole(tail)).then_some(tail);
        }
        let before = &text[..text.len() - last.len()];
        let is_ours =
            before.is_empty() || outline(before) == self.before || STAMPS.is_match(before);
        (is_ours && is_whole(last)).then_some(last)
    }

    /// Decides how lines are folded, and takes what has come so far.
    fn learned<E>(&mut self, take: &mut impl FnMut(Found) -> Result<(), E>) -> Result<(), E> {
        if self.fold.is_empty() {
            let pieces = std::mem::take(&mut self.learning);
            let fold = fold(&pieces);
            self.is_folded = fold.as_ref().is_none_or(|fold| fold.len() > 1);
            self.fold = fold.unwrap_or_else(|| vec![WIDTH]);
            for piece in pieces {
                self.take(piece, take)?;
            }
        }
        Ok(())
    }

    fn take<E>(
        &mut self,
        piece: Piece,
        take: &mut impl FnMut(Found) -> Result<(), E>,
    ) -> Result<(), E> {
        let length = piece.text.len();
        let whole = if length == WIDTH {
            self.broken_off(&piece);
            piece.text
        } else if self.fold.get(self.parts.len()) == Some(&length) {
            self.parts.push(piece.text.clone());
            self.keep(piece);
            if self.parts.len() < self.fold.len() {
                return Ok(());
            }
            self.parts.concat()
        } else {
            if self.fold.first() == Some(&length) {
                self.broken_off(&piece);
                self.parts = vec![piece.text.clone()];
            }
            self.keep(piece);
            return Ok(());
        };
        if let Some(bytes) = decode(&whole) {
            self.parts.clear();
            self.short.clear();
            return take(Found::Bytes(bytes));
        }
        Ok(())
    }

    /// Another line begins: what has come of one that was under way is all that there is.
    fn broken_off(&mut self, next: &Piece) {
        let had_part = !self.parts.is_empty();
        self.parts.clear();
        // What is nearly a line, and no word of another.
        let cut = self.short.iter().find(|piece| piece.text.len() > WIDTH / 2);
        if let Some(line) = cut
            .map(|piece| piece.line)
            .or(had_part.then_some(next.line))
        {
            self.broken.push(line);
        }
        self.short.clear();
        self.broken.truncate(MOST_BROKEN);
    }

    fn keep(&mut self, piece: Piece) {
        if self.short.len() == KEEP {
            // Padding is what only the last line has.
            let plain = self
                .short
                .iter()
                .position(|piece| !piece.text.ends_with('='));
            self.short.remove(plain.unwrap_or(0));
        }
        self.short.push_back(piece);
    }

    /// What the last bytes may be.
    fn tails(&self) -> Vec<Vec<u8>> {
        let pieces: Vec<&str> = self.short.iter().map(|piece| piece.text.as_str()).collect();
        // The last line may be folded as the others are, and where there are no others nobody knows how.
        let most = if self.is_folded { MOST_PIECES } else { 1 };
        let mut texts: Vec<String> = Vec::new();
        for from in 0..pieces.len() {
            let mut text = String::new();
            for piece in pieces[from..].iter().take(most) {
                text.push_str(piece);
                texts.push(text.clone());
            }
        }
        texts.retain(|text| text.len() % 4 == 0 && text.len() <= WIDTH && is_whole(text));
        // Padding first, and then what is long: most words of others are short.
        texts.sort_by_key(|text| (!text.ends_with('='), std::cmp::Reverse(text.len())));
        texts.dedup();
        let decoded = texts.iter().filter_map(|text| decode(text));
        decoded.take(MOST_ENDS).chain([Vec::new()]).collect()
    }
}

/// The lengths of the pieces of one line, by what comes most often in a row: one of the whole length where lines are not
/// folded. None where there is no whole line.
fn fold(pieces: &[Piece]) -> Option<Vec<usize>> {
    let mut counts: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    for from in 0..pieces.len() {
        let (mut lengths, mut sum) = (Vec::new(), 0);
        for piece in pieces[from..].iter().take(MOST_PIECES) {
            lengths.push(piece.text.len());
            sum += piece.text.len();
            if sum >= WIDTH {
                break;
            }
        }
        if sum == WIDTH {
            *counts.entry(lengths).or_default() += 1;
        }
    }
    let most = counts
        .into_iter()
        .max_by_key(|(lengths, count)| (*count, std::cmp::Reverse(lengths.len())));
    most.map(|(lengths, _)| lengths)
}

#[cfg(test)]
mod tests;
