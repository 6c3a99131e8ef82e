//! `split-dump` and `split-dump64`: a dump becomes files again.

use super::session::Session;
use crate::cli::SplitArgs;
use crate::dump::split::{LARGEST, Saved, directories, split, split_packed};
use crate::error::{Error, exit_code};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// `split-dump`.
pub(super) fn plain(session: &Session, arguments: &SplitArgs) -> Result<u8, Error> {
    let (name, input) = open(arguments)?;
    let saved = split(input, &arguments.to).map_err(|source| refused(&name, arguments, source))?;
    let hint = "its files begin with lines `@@@ NAME @@@`; what is packed is for `split-dump64`";
    let saved = saved.ok_or_else(|| Error::with_hint(format!("{name} is no dump"), hint))?;
    tell(session, &[saved])
}

/// `split-dump64`.
pub(super) fn packed(session: &Session, arguments: &SplitArgs) -> Result<u8, Error> {
    let (name, input) = open(arguments)?;
    let found = crate::dump::split::packed(BufReader::new(input))
        .map_err(|source| refused(&name, arguments, source))?;
    if found.is_empty() {
        return Err(Error::with_hint(
            format!("{name} has no packed dump in it"),
            "one begins with the line `%%% start-base64 %%%`; what is not packed is for `split-dump`",
        ));
    }
    let directories = directories(&arguments.to, found.len());
    for directory in &directories {
        must_be_empty(directory)?;
    }
    let mut room = LARGEST;
    let saved = found.into_iter().zip(&directories);
    let saved = saved.map(|(packed, directory)| split_packed(packed, directory, &mut room));
    let saved = saved.collect::<io::Result<Vec<Saved>>>();
    tell(
        session,
        &saved.map_err(|source| refused(&name, arguments, source))?,
    )
}

fn refused(name: &str, arguments: &SplitArgs, source: io::Error) -> Error {
    Error::other(
        format!("split {name} into {}", arguments.to.display()),
        source,
    )
}

/// What is to be read, by a name for people. The directory is new or empty.
fn open(arguments: &SplitArgs) -> Result<(String, Box<dyn Read>), Error> {
    must_be_empty(&arguments.to)?;
    match arguments.file.as_deref() {
        Some(path) if path != Path::new("-") => {
            let name = format!("`{}`", path.display());
            let file = File::open(path);
            let file = file.map_err(|source| Error::other(format!("read {name}"), source))?;
            Ok((name, Box::new(file)))
        }
        _ => Ok(("standard input".to_owned(), Box::new(io::stdin()))),
    }
}

/// Files of several dumps in one directory would be none of any.
pub(super) fn must_be_empty(directory: &Path) -> Result<(), Error> {
    let shown = directory.display();
    match std::fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::with_hint(
                format!("`{shown}` is not empty"),
                "remove it, or name another directory with `--to`",
            )),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::other(format!("write into `{shown}`"), error)),
    }
}

/// Tells what was saved, and what was not.
fn tell(session: &Session, all: &[Saved]) -> Result<u8, Error> {
    let mut lost = 0;
    for saved in all {
        let directory = saved.directory.display();
        let files = if saved.files == 1 { "file" } else { "files" };
        session
            .reporter
            .note(format!("{} {files} in {directory}", saved.files));
        for line in &saved.lost {
            session.reporter.warn(format!("{directory}: {line}"), None);
        }
        lost += saved.lost.len();
    }
    if lost == 0 {
        return Ok(exit_code::OK);
    }
    Err(Error::message("not all of the dump could be saved"))
}
