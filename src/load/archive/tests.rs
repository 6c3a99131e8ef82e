use super::super::sample::{Entry, docker, file, images_of, read, sha, tar};
use super::*;
use proptest::prelude::*;

fn told(entries: &[Entry]) -> String {
    match read(&tar(entries)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{entries:?} were taken"),
    }
}

fn link(name: &str, target: &str) -> Entry {
    Entry::Link(name.to_owned(), target.to_owned())
}

#[test]
fn names_stay_within_the_archive() {
    for name in ["../x", "/etc/passwd", "a/../../x", "..", "a/..", "."] {
        assert!(told(&[file(name, "")]).contains("no name"), "{name}");
    }
    for target in ["/etc/passwd", "../../x", "../.."] {
        assert!(told(&[link("a/b", target)]).contains("no name"), "{target}");
    }
}

#[test]
fn links_are_followed_within_the_archive() {
    let (archive, mut spool) = read(&tar(&[
        file("one/layer.tar", "content"),
        link("two/layer.tar", "../one/layer.tar"),
        link("three", "two/layer.tar"),
        link("round", "and"),
        link("and", "round"),
        link("nowhere", "else"),
    ]))
    .unwrap();
    assert_eq!(archive.bytes("three", &mut spool).unwrap(), b"content");
    assert_eq!(
        archive.bytes("./two//layer.tar", &mut spool).unwrap(),
        b"content"
    );
    for name in ["round", "nowhere", "absent", ""] {
        assert!(
            matches!(archive.content(name), Err(ArchiveError::Missing(_))),
            "{name}"
        );
    }
}

#[test]
fn what_a_name_says_of_its_content_is_checked() {
    let digest = sha(b"right").hex();
    for name in [
        format!("blobs/sha256/{digest}"),
        format!("{digest}.json"),
        format!("{digest}.tar"),
    ] {
        assert!(read(&tar(&[file(&name, "right")])).is_ok());
        assert!(told(&[file(&name, "wrong")]).contains("damaged"), "{name}");
    }
    assert!(told(&[file("blobs/sha256/12", "x")]).contains("damaged"));
}

#[test]
fn a_name_means_one_content() {
    assert!(read(&tar(&[file("a", "1"), file("./a", "1")])).is_ok());
    assert!(told(&[file("a", "1"), file("a", "2")]).contains("twice"));
    assert!(told(&[file("a", "1"), link("a", "b")]).contains("twice"));
}

#[test]
fn an_archive_may_lie_in_a_folder() {
    let bytes = tar(&[file("top/a", "1"), file("top/b/c", "2"), file("d", "3")]);
    let mut spool = io::Cursor::new(Vec::new());
    let archive = Archive::read(bytes.as_slice(), "top/", &mut spool, |_| false, |_| {}).unwrap();
    for (name, content) in [("a", b"1"), ("b/c", b"2"), ("d", b"3")] {
        assert_eq!(archive.bytes(name, &mut spool).unwrap(), content, "{name}");
    }
}

#[test]
fn devices_are_refused() {
    let mut bytes = tar(&[file("a", "")]);
    bytes[156] = b'3';
    let sum: u32 = bytes[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(matches!(read(&bytes), Err(ArchiveError::Kind(_))));
}

#[test]
fn an_archive_must_be_whole() {
    let layer = vec![7; 5000];
    let bytes = tar(&docker("a:1", &[&layer]));
    for end in (0..bytes.len() - 1024).step_by(100) {
        let cut = read(&bytes[..end])
            .and_then(|(archive, mut spool)| super::super::images(&archive, &mut spool, "amd64"));
        assert!(cut.is_err(), "cut at {end}");
    }
}

#[test]
fn a_compressed_archive_is_told_apart() {
    assert!(matches!(
        read(&[0x1f, 0x8b, 8, 0]),
        Err(ArchiveError::Compressed)
    ));
    assert!(matches!(read(b""), Ok((archive, _)) if archive == Archive::default()));
}

#[test]
fn what_nobody_wants_is_not_kept() {
    let (small, large) = (vec![1; 1000], vec![2; usize::try_from(SMALL).unwrap() + 1]);
    let bytes = tar(&[
        file("a", &large),
        file("b", &small),
        file("c", &large),
        file("d", b"end"),
    ]);
    let mut spool = io::Cursor::new(Vec::new());
    let archive = Archive::read(bytes.as_slice(), "", &mut spool, |_| true, |_| {}).unwrap();
    assert_eq!(archive.content("a").unwrap().at, None);
    assert_eq!(archive.content("c").unwrap().size, SMALL + 1);
    assert_eq!(archive.bytes("b", &mut spool).unwrap(), small);
    assert_eq!(archive.bytes("d", &mut spool).unwrap(), b"end");
    assert!(matches!(
        archive.bytes("a", &mut spool),
        Err(ArchiveError::TooLarge(_))
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_damaged_archive_never_gives_another_image(at in 0_usize..8000, bit in 0_u8..8) {
        let layers: [&[u8]; 2] = [&[1; 700], &[2; 900]];
        let entries = docker("a:1", &layers);
        let whole = images_of(&entries).unwrap();
        let mut bytes = tar(&entries);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok((archive, mut spool)) = read(&bytes)
            && let Ok(images) = super::super::images(&archive, &mut spool, "amd64")
        {
            // A flipped bit in what is no digest's content can only change names and places.
            for (image, expected) in images.iter().zip(&whole) {
                let digests = |image: &super::super::Image| {
                    let layers = image.layers.iter().map(|layer| layer.content.digest.clone());
                    (image.config.digest.clone(), layers.collect::<Vec<_>>())
                };
                prop_assert_eq!(digests(image), digests(expected));
            }
        }
    }
}
