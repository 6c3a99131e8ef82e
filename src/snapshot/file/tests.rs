use super::*;
use crate::cluster::sample;
use proptest::prelude::*;
use std::io::Cursor;

const IMAGE: &str = "local-cluster/node:1.36.3-0123456789ab";

fn origin() -> Origin {
    let spec = sample::spec(|_| {});
    Origin {
        at: "2026-11-21T12:30:00Z".to_owned(),
        nodes: spec.nodes.iter().map(|node| node.name.clone()).collect(),
        settings: spec.fingerprint(),
        image: IMAGE.to_owned(),
        preload: "local-cluster-preload-1.36.3-0123456789ab".to_owned(),
        port: Some(6443),
    }
}

/// A tar archive of files with these names and contents.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        // As they are: hostile names are refused by what makes them properly.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn image() -> Vec<u8> {
    let manifest = serde_json::json!([{ "Config": "a.json", "RepoTags": [IMAGE] }]).to_string();
    archive(&[("a.json", "{}"), ("manifest.json", &manifest)])
}

/// A file with these parts and this manifest.
fn written(parts: [Vec<u8>; 3], change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
    let mut writer = Writer::begin(Cursor::new(Vec::new())).unwrap();
    for (kind, content) in Kind::ALL.into_iter().zip(parts) {
        let mut part = writer.part(kind).unwrap();
        // In pieces, as it comes.
        content
            .chunks(700)
            .for_each(|piece| part.take(piece).unwrap());
        writer = part.finish().unwrap();
    }
    let mut manifest = Manifest::new("one", 0, origin(), "amd64", "0".repeat(64));
    change(&mut manifest);
    writer.finish(manifest).unwrap().0.into_inner()
}

fn parts() -> [Vec<u8>; 3] {
    let nodes = archive(&[
        ("./nodes/kube-master/x", &"etcd ".repeat(5000)),
        ("./contents", "y"),
    ]);
    [image(), archive(&[("./meta.db", "db")]), nodes]
}

fn checked(file: &[u8]) -> Result<Manifest, String> {
    let found = check(file, file.len() as u64, "amd64");
    found.map_err(|problem| problem.to_string())
}

#[test]
fn what_was_written_is_read() {
    let file = written(parts(), |_| {});
    let manifest = checked(&file).unwrap();
    assert_eq!((manifest.name.as_str(), &manifest.of), ("one", &origin()));
    assert!(file.len() as u64 == manifest.file_size() && file.len() < 100_000);
    for (kind, wanted) in Kind::ALL.into_iter().zip(parts()) {
        let mut content = Vec::new();
        let from = usize::try_from(offset(&manifest, kind)).unwrap();
        let mut part = open(&file[from..], &manifest, kind).unwrap();
        part.read_to_end(&mut content).unwrap();
        assert!(content == wanted, "{kind:?}");
    }
}

#[test]
fn ordinary_tools_can_read_it() {
    let file = written(parts(), |_| {});
    let mut archive = tar::Archive::new(file.as_slice());
    let names = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        (name, entry.header().mode().unwrap())
    });
    let name = |name: &str| (name.to_owned(), 0o600);
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            name("manifest.json"),
            name("image.tar.zst"),
            name("preload.tar.zst"),
            name("nodes.tar.zst")
        ]
    );
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let refusal = |change: fn(&mut Manifest)| checked(&written(parts(), change)).unwrap_err();
    let we = env!("CARGO_PKG_VERSION");
    assert_eq!(
        refusal(|manifest| manifest.version = "9.9.9".to_owned()),
        format!("it was made by version 9.9.9 of local-cluster, and this is {we}")
    );
    assert_eq!(
        refusal(|manifest| manifest.architecture = "arm64".to_owned()),
        "it is for arm64, and this engine is amd64"
    );
    for hostile in ["\u{1b}[2J", "", "9.9.9\n", &"9".repeat(65)] {
        let by = |change: fn(&mut Manifest, String)| {
            let file = written(parts(), |manifest| change(manifest, hostile.to_owned()));
            checked(&file).unwrap_err()
        };
        let other = "it is not a snapshot that `local-cluster snapshot export` has made";
        assert_eq!(by(|manifest, text| manifest.version = text), other);
        assert_eq!(by(|manifest, text| manifest.architecture = text), other);
    }
    let odd = |what: &str| format!("it is damaged: it has no usable {what}");
    for name in ["../x", "", "a/b", "A", "clone.x"] {
        let file = written(parts(), |manifest| name.clone_into(&mut manifest.name));
        assert_eq!(checked(&file).unwrap_err(), odd("name"), "{name}");
    }
    for name in [
        "debian:trixie",
        "local-cluster/node:",
        "local-cluster/node:a/b",
        "local-cluster/node:a b",
    ] {
        let file = written(parts(), |manifest| name.clone_into(&mut manifest.of.image));
        assert_eq!(
            checked(&file).unwrap_err(),
            odd("name of an image"),
            "{name}"
        );
    }
    for name in [
        "data",
        "local-cluster-preload-",
        "local-cluster-preload-/etc",
        "local-cluster-preload-é",
    ] {
        let file = written(parts(), |manifest| {
            name.clone_into(&mut manifest.of.preload);
        });
        assert_eq!(
            checked(&file).unwrap_err(),
            odd("name of a preload volume"),
            "{name}"
        );
    }
    let nodes = odd("list of nodes and settings");
    assert_eq!(refusal(|manifest| manifest.of.nodes.reverse()), nodes);
    assert_eq!(
        refusal(|manifest| manifest.of.nodes.push("../..".to_owned())),
        nodes
    );
    assert_eq!(refusal(|manifest| manifest.of.settings.clear()), nodes);
    for (key, value) in [("a", "\u{1b}[2J"), ("\n", "")] {
        let file = written(parts(), |manifest| {
            let settings = &mut manifest.of.settings;
            settings.insert(key.to_owned(), value.to_owned());
        });
        assert_eq!(checked(&file).unwrap_err(), nodes);
    }
    for at in [
        "",
        "yesterday",
        "\u{1b}[2J",
        "2026-11-21",
        "2026-11-21T12:30:00Z\n",
        "2026-13-21T12:30:00Z",
    ] {
        let file = written(parts(), |manifest| at.clone_into(&mut manifest.of.at));
        assert_eq!(checked(&file).unwrap_err(), odd("time"), "{at}");
    }
    assert_eq!(
        refusal(|manifest| manifest.preload_is = "é".repeat(32)),
        odd("digest of its preload volume")
    );
}

#[test]
fn what_leads_out_of_its_place_or_is_another_s_is_refused() {
    for name in ["../x", "/etc/passwd", "./a/../../x", "nodes/../../../x"] {
        let [image, preload, _] = parts();
        let file = written([image, preload, archive(&[(name, "x")])], |_| {});
        let text = checked(&file).unwrap_err();
        assert!(
            text.contains("`nodes.tar.zst` leads out of its place"),
            "{name}: {text}"
        );
    }
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Link);
    header.set_path("x").unwrap();
    header.as_old_mut().linkname[..9].copy_from_slice(b"../secret");
    header.set_size(0);
    header.set_cksum();
    link.append(&header, io::empty()).unwrap();
    let [image, _, nodes] = parts();
    let file = written([image, link.into_inner().unwrap(), nodes], |_| {});
    assert!(
        checked(&file)
            .unwrap_err()
            .contains("`preload.tar.zst` leads out of its place")
    );
    for manifest in [
        r#"[{"RepoTags":["debian:trixie"]}]"#.to_owned(),
        format!(r#"[{{"RepoTags":["{IMAGE}","debian:trixie"]}}]"#),
        format!(r#"[{{"RepoTags":["{IMAGE}"]}},{{"RepoTags":["debian:trixie"]}}]"#),
        "{}".to_owned(),
        String::new(),
    ] {
        let [_, preload, nodes] = parts();
        let file = written(
            [archive(&[("manifest.json", &manifest)]), preload, nodes],
            |_| {},
        );
        assert!(
            checked(&file)
                .unwrap_err()
                .contains("other images than its own"),
            "{manifest}"
        );
    }
    let [_, preload, nodes] = parts();
    let file = written([archive(&[("x", "")]), preload, nodes], |_| {});
    assert!(
        checked(&file)
            .unwrap_err()
            .contains("other images than its own")
    );
    let [image, preload, _] = parts();
    let file = written([image, preload, b"no archive at all".repeat(99)], |_| {});
    assert!(
        checked(&file)
            .unwrap_err()
            .contains("`nodes.tar.zst` is no compressed tar archive")
    );
}

/// A small file may unpack to one of any size: no more is unpacked than it says.
#[test]
fn what_unpacks_to_more_than_it_says_is_refused() {
    let [image, preload, _] = parts();
    let file = written(
        [image, preload, archive(&[("x", &"0".repeat(1 << 20))])],
        |_| {},
    );
    let manifest = checked(&file).unwrap();
    let unpacked = format!("\"unpacked\":{}", manifest.parts[2].unpacked);
    let text = serde_json::to_string(&manifest).unwrap();
    let mut text = text.replace(&unpacked, "\"unpacked\":2048").into_bytes();
    text.resize(usize::try_from(MANIFEST_SIZE).unwrap(), b' ');
    let mut other = file;
    other[512..512 + text.len()].copy_from_slice(&text);
    let text = checked(&other).unwrap_err();
    assert!(text.contains("nodes.tar.zst"), "{text}");
}

#[test]
fn other_files_are_refused() {
    for other in [
        Vec::new(),
        b"PK".to_vec(),
        vec![0; 4096],
        archive(&[("x", "y")]),
        archive(&[("manifest.json", "{}")]),
    ] {
        assert_eq!(
            checked(&other).unwrap_err(),
            "it is not a snapshot that `local-cluster snapshot export` has made"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_cut_off_is_refused(at in 0..1_000_000_usize) {
        let file = written(parts(), |_| {});
        prop_assert!(checked(&file[..at % file.len()]).is_err());
    }

    /// What is not looked at is what nobody uses: blanks between the parts.
    #[test]
    fn what_was_changed_is_refused_or_the_same(at in 0..1_000_000_usize, bit in 0..8_u32) {
        let mut file = written(parts(), |_| {});
        let before = checked(&file).unwrap();
        let at = at % file.len();
        file[at] ^= 1 << bit;
        // What the manifest says of how it came to be is for people.
        if let Ok(after) = checked(&file) {
            for kind in Kind::ALL {
                let (mut one, mut other) = (Vec::new(), Vec::new());
                let from = usize::try_from(offset(&after, kind)).unwrap();
                open(&file[from..], &after, kind).unwrap().read_to_end(&mut one).unwrap();
                let right = written(parts(), |_| {});
                open(&right[from..], &before, kind).unwrap().read_to_end(&mut other).unwrap();
                prop_assert!(one == other);
            }
        }
    }

    #[test]
    fn anything_is_read_without_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..4096), at in 0..100_000_usize) {
        prop_assert!(checked(&bytes).is_err());
        let mut file = written(parts(), |_| {});
        let at = at % file.len();
        bytes.truncate(file.len() - at);
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        let _ = checked(&file);
    }
}
