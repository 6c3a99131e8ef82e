use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::convert::Infallible;

type Files = Vec<(String, Vec<u8>)>;

fn write(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), "a dump").unwrap();
    for (path, content) in files {
        writer.file(path, content.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

/// Reads in parts of this length.
fn read(text: &[u8], part: usize) -> Files {
    let mut files: Files = Vec::new();
    let mut take = |piece: Piece<'_>| -> Result<(), Infallible> {
        match piece {
            Piece::File(name) => files.push((name.to_owned(), Vec::new())),
            Piece::Content(content) => files.last_mut().unwrap().1.extend_from_slice(content),
        }
        Ok(())
    };
    let mut reader = Reader::default();
    for part in text.chunks(part.max(1)) {
        reader.read(part, &mut take).unwrap();
    }
    reader.finish(&mut take).unwrap();
    files
}

fn together(files: Files) -> BTreeMap<String, Vec<u8>> {
    let mut all: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, content) in files {
        all.entry(name).or_default().extend(content);
    }
    all
}

/// The older tool's reader, after its description: a marker fills its line, the name is its second word, text before the
/// first is dropped, what comes again is added.
fn older(text: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut all: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut name = None;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        if bare.len() >= 8 && bare.starts_with(b"@@@ ") && bare.ends_with(b" @@@") {
            let text = String::from_utf8_lossy(bare).into_owned();
            name = text.split_whitespace().nth(1).map(str::to_owned);
        } else if let Some(name) = &name {
            all.entry(name.clone()).or_default().extend(line);
        }
    }
    all
}

#[test]
fn the_older_tools_form_is_read() {
    let text = b"*** Dumping cluster state ***\n\
        before @@@ no.txt @@@\n\
        @@@ a.txt @@@\none\n @@@ indented.txt @@@\n@@@ nothing\n\
        @@@ b.txt with more @@@\ntwo\n\
        @@@ a.txt @@@\nthree\nno end";
    for part in [1, 3, 1000] {
        let files = together(read(text, part));
        assert_eq!(files.len(), 2, "{files:?}");
        assert_eq!(
            files["a.txt"],
            b"one\n @@@ indented.txt @@@\n@@@ nothing\nthree\nno end"
        );
        assert_eq!(files["b.txt"], b"two\n");
        assert_eq!(files, older(text));
    }
}

#[test]
fn the_older_tool_can_read_ours() {
    let files = [
        ("index.txt", "first\n"),
        (
            "kube-master/journal/kubelet.log",
            "line\n@@@ x @@@\n  @@@ y @@@\n",
        ),
        ("kube-node-1/empty.txt", ""),
    ]
    .map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()));
    let text = write(&files);
    let found = older(&text);
    assert_eq!(found["index.txt"], b"first\n");
    // A blank more, and no marker lost or found.
    assert_eq!(
        found["kube-master__journal__kubelet.log"],
        b"line\n @@@ x @@@\n   @@@ y @@@\n"
    );
    assert_eq!(read(&text, 7), files);
}

#[test]
fn a_text_without_markers_has_no_files() {
    for text in ["", "\n", "words\n@@@\n@@@ @@@\n@@@x@@@\n"] {
        assert_eq!(read(text.as_bytes(), 5), [], "{text:?}");
    }
}

/// A line of any length is handed on as it comes: what a reader holds has an end.
#[test]
fn what_is_held_has_an_end() {
    let mut reader = Reader::default();
    let mut bytes = 0;
    let mut take = |piece: Piece<'_>| -> Result<(), Infallible> {
        if let Piece::Content(content) = piece {
            bytes += content.len();
        }
        Ok(())
    };
    reader.read(b"@@@ a @@@\n", &mut take).unwrap();
    for _ in 0..1000 {
        reader.read(b"@@@ @@@ @@@ @@@ ", &mut take).unwrap();
        assert!(reader.line.len() <= LONGEST + 16);
    }
    for _ in 0..1000 {
        reader.read(&[b' '; 1000], &mut take).unwrap();
        assert!(reader.line.is_empty());
    }
    reader.finish(&mut take).unwrap();
    assert_eq!(bytes, 16 * 1000 + 1000 * 1000);
}

/// Texts that are made of what matters here.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b"@@@ "[..],
        b" @@@",
        b"@@@",
        b" ",
        b"\n",
        b"\r",
        b"a.txt",
        b"a__b a/b",
        b"word",
        b"\0",
        b"\xff\xfe",
        b"\t",
        b"%%% start-base64 %%%",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

/// What a dump holds: all lines are ended.
fn ended(mut content: Vec<u8>) -> Vec<u8> {
    if content.last().is_some_and(|byte| *byte != b'\n') {
        content.push(b'\n');
    }
    content
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        contents in prop::collection::vec(content(), 0..6), part in 1_usize..50
    ) {
        let files: Files = contents
            .into_iter()
            .enumerate()
            .map(|(number, content)| (format!("dir/{number}.txt"), content))
            .collect();
        let text = write(&files);
        let wanted: Files = files.into_iter().map(|(name, content)| (name, ended(content))).collect();
        prop_assert_eq!(read(&text, part), wanted.clone());
        let flat: Vec<String> = wanted.iter().map(|(name, _)| name::flat(name)).collect();
        prop_assert!(older(&text).keys().all(|name| flat.contains(name)));
    }

    #[test]
    fn any_bytes_are_read_in_any_parts(text in prop::collection::vec(any::<u8>(), 0..400), part in 1_usize..50) {
        prop_assert_eq!(read(&text, part), read(&text, text.len()));
    }

    #[test]
    fn any_text_is_read_as_the_older_tool_reads_it(text in content()) {
        // What only ours has is left out: names that come twice, `a.txt a.txt` too.
        let twice = |line: &[u8]| marker(line).is_some_and(|marker| marker.indented);
        prop_assume!(!text.split(|byte| *byte == b'\n').any(twice));
        let found = together(read(&text, 9));
        for (name, content) in older(&text) {
            prop_assert_eq!(found.get(&name), Some(&content));
        }
    }
}
