use super::super::sample::{Entry, config, docker, file, images_of, oci, sha};
use super::*;

fn told(entries: &[Entry]) -> String {
    images_of(entries).unwrap_err().to_string()
}

/// The same archive with another table of contents.
fn with_manifest(mut entries: Vec<Entry>, manifest: &serde_json::Value) -> Vec<Entry> {
    entries.pop();
    entries.push(file("manifest.json", manifest.to_string()));
    entries
}

#[test]
fn dockers_archives_are_read() {
    let images = images_of(&docker("me/app", &[b"one", b"two"])).unwrap();
    let [image] = &images[..] else { panic!() };
    assert_eq!(image.names, ["docker.io/me/app:latest".to_owned()].into());
    assert_eq!(image.manifest, Manifest::Written);
    let layers: Vec<_> = image
        .layers
        .iter()
        .map(|layer| &layer.content.digest)
        .collect();
    assert_eq!(layers, [&sha(b"one"), &sha(b"two")]);
}

#[test]
fn layouts_are_read() {
    let images = images_of(&oci("me/app:1", &[b"one", b"two"])).unwrap();
    let [image] = &images[..] else { panic!() };
    assert_eq!(image.names, ["docker.io/me/app:1".to_owned()].into());
    assert!(matches!(image.manifest, Manifest::Given { .. }));
    assert_eq!(image.layers.len(), 2);
}

#[test]
fn wrong_archives_are_refused() {
    let config_name = format!("{}.json", sha(&config(&[b"one"])).hex());
    let listed = |name: &str, layers: &[&str]| {
        with_manifest(
            docker("a:1", &[b"one"]),
            &serde_json::json!([{ "Config": config_name, "RepoTags": [name], "Layers": layers }]),
        )
    };
    let mut swapped = docker("a:1", &[b"one", b"two"]);
    swapped[0] = file("0/layer.tar", "other");
    let mut nameless = docker("a:1", &[b"one"]);
    nameless = with_manifest(
        nameless,
        &serde_json::json!([{ "Config": config_name, "RepoTags": null, "Layers": ["0/layer.tar"] }]),
    );
    let mut foreign = docker("a:1", &[]);
    foreign[0] = file("c", r#"{"architecture":"arm64","os":"linux","rootfs":{}}"#);
    let foreign = with_manifest(
        foreign,
        &serde_json::json!([{ "Config": "c", "RepoTags": ["a"], "Layers": [] }]),
    );
    for (entries, expected) in [
        (vec![file("a", "b")], "none of images"),
        (listed("a:1", &[]), "has 0 layers"),
        (listed("a:1", &["absent"]), "has no `absent`"),
        (
            listed("a:1", &["../../etc/passwd"]),
            "has no `../../etc/passwd`",
        ),
        (listed("../a", &["0/layer.tar"]), "no name"),
        (swapped, "damaged"),
        (nameless, "it has no name"),
        (foreign, "it is for linux/arm64"),
        (
            with_manifest(docker("a", &[b"one"]), &serde_json::json!({})),
            "cannot be understood",
        ),
        (
            with_manifest(docker("a", &[b"one"]), &serde_json::json!([])),
            "none of images",
        ),
    ] {
        let text = told(&entries);
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    }
}

#[test]
fn an_index_for_other_platforms_is_refused() {
    let layers: [&[u8]; 1] = [b"one"];
    let entries = oci("a:1", &layers);
    let Entry::File(_, manifest) = &entries[1] else {
        panic!()
    };
    let digest = sha(manifest).to_string();
    let one = |architecture: &str, name: Option<&str>| {
        let os = if architecture == "unknown" {
            "unknown"
        } else {
            "linux"
        };
        let mut one = serde_json::json!({
            "mediaType": MANIFEST, "digest": digest, "size": 1, "platform": { "os": os, "architecture": architecture },
        });
        if let Some(name) = name {
            one["annotations"] = serde_json::json!({ "io.containerd.image.name": name });
        }
        one
    };
    let nested = |manifests: &[serde_json::Value]| {
        let inner = serde_json::json!({ "manifests": manifests }).to_string();
        let top = serde_json::json!({ "manifests": [{
            "mediaType": INDEX, "digest": sha(inner.as_bytes()).to_string(), "size": 1,
            "annotations": { "io.containerd.image.name": "b:2" },
        }]});
        let mut entries = entries.clone();
        entries[0] = file("index.json", top.to_string());
        let path = format!("blobs/sha256/{}", sha(inner.as_bytes()).hex());
        entries.push(file(&path, inner));
        entries
    };
    let flat = |manifests: &[serde_json::Value]| {
        let mut entries = entries.clone();
        let top = serde_json::json!({ "manifests": manifests });
        entries[0] = file("index.json", top.to_string());
        entries
    };
    let foreign = "image `b:2`: it is for linux/arm64, linux/s390x, and the nodes are linux/amd64";
    let (arm, s390, unknown) = (one("arm64", None), one("s390x", None), one("unknown", None));
    for (entries, expected) in [
        (
            nested(&[s390.clone(), arm.clone(), unknown.clone()]),
            foreign,
        ),
        (
            nested(std::slice::from_ref(&unknown)),
            "image `b:2`: its index lists no image",
        ),
        (nested(&[]), "image `b:2`: its index lists no image"),
        (
            flat(&[one("arm64", Some("b:2")), one("s390x", Some("b:2"))]),
            foreign,
        ),
        // What is there of one image is no excuse for another.
        (
            flat(&[
                one("amd64", Some("a:1")),
                one("arm64", Some("b:2")),
                one("s390x", Some("b:2")),
            ]),
            foreign,
        ),
    ] {
        assert_eq!(told(&entries), expected);
    }
    // Of several platforms of one image the nodes' own is taken.
    for entries in [
        flat(&[
            one("arm64", Some("b:2")),
            one("amd64", Some("b:2")),
            unknown.clone(),
        ]),
        nested(&[arm, one("amd64", None), unknown]),
    ] {
        let images = images_of(&entries).unwrap();
        assert_eq!(images.len(), 1);
    }
}

#[test]
fn an_index_lists_images_by_name() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let index = serde_json::json!({ "manifests": [
        { "mediaType": MANIFEST, "digest": digest, "size": 1, "annotations": { "io.containerd.image.name": "b:2" } },
        { "mediaType": MANIFEST, "digest": digest, "size": 1 },
    ]});
    let listed = listed(index.to_string().as_bytes()).unwrap();
    let expected = (
        "docker.io/library/b:2".to_owned(),
        Digest::parse(&digest).unwrap(),
    );
    assert_eq!(listed, [expected].into());
}

#[test]
fn an_index_leads_to_the_nodes_platform_and_not_in_circles() {
    let layers: [&[u8]; 1] = [b"one"];
    let mut entries = oci("a:1", &layers);
    let Entry::File(_, manifest) = &entries[1] else {
        panic!()
    };
    let inner = serde_json::json!({ "manifests": [
        { "mediaType": MANIFEST, "digest": sha(manifest).to_string(), "size": 1, "platform": { "os": "linux", "architecture": "amd64" } },
        { "mediaType": MANIFEST, "digest": sha(b"absent").to_string(), "size": 1, "platform": { "os": "linux", "architecture": "arm64" } },
    ]})
    .to_string();
    let top = serde_json::json!({ "manifests": [
        { "mediaType": INDEX, "digest": sha(inner.as_bytes()).to_string(), "size": 1, "annotations": { "io.containerd.image.name": "b:2" } },
    ]});
    entries[0] = file("index.json", top.to_string());
    entries.push(file(
        &format!("blobs/sha256/{}", sha(inner.as_bytes()).hex()),
        inner,
    ));
    let images = images_of(&entries).unwrap();
    assert_eq!(images.len(), 1);
    assert!(images[0].names.contains("docker.io/library/b:2"));

    for digest in ["../../../etc/passwd", "sha512:12", "sha256:zz"] {
        let top = serde_json::json!({ "manifests": [{ "mediaType": INDEX, "digest": digest, "size": 1 }] });
        entries[0] = file("index.json", top.to_string());
        assert!(told(&entries).contains("no name"), "{digest}");
    }
}
