use super::super::sample::{docker, holding, images_of, oci, sha};
use super::*;
use proptest::prelude::*;

const LAYERS: [&[u8]; 5] = [b"one", b"two", b"three", b"four", b"five"];

fn blob(bytes: &[u8]) -> (Digest, u64) {
    (sha(bytes), bytes.len() as u64)
}

#[test]
fn a_node_that_has_nothing_gets_all() {
    let images = images_of(&docker("a:1", &LAYERS)).unwrap();
    let bundle = Bundle::new(&images, &Held::default()).unwrap();
    assert_eq!(bundle.layers, 5);
    // Layers, configuration, manifest, index and the mark of a layout.
    assert_eq!(bundle.parts.len(), 9);
    assert_eq!(bundle.images[0].0, "docker.io/library/a:1");
}

#[test]
fn of_five_layers_the_one_that_changed_is_sent() {
    for entries in [docker("a:1", &LAYERS), oci("a:1", &LAYERS)] {
        let images = images_of(&entries).unwrap();
        let held = holding(&LAYERS.map(blob)[..4], &[]);
        let bundle = Bundle::new(&images, &held).unwrap();
        assert_eq!(bundle.layers, 1);
        let names: Vec<&str> = bundle.parts.iter().map(|part| part.path.as_str()).collect();
        assert!(names.contains(&format!("blobs/sha256/{}", sha(b"five").hex()).as_str()));
        assert!(!names.contains(&format!("blobs/sha256/{}", sha(b"one").hex()).as_str()));
    }
}

#[test]
fn a_node_that_has_all_gets_nothing() {
    for entries in [docker("a:1", &LAYERS), oci("a:1", &LAYERS)] {
        let images = images_of(&entries).unwrap();
        let first = Bundle::new(&images, &Held::default()).unwrap();
        let mut blobs = LAYERS.map(blob).to_vec();
        blobs.push((images[0].config.digest.clone(), images[0].config.size));
        let held = holding(&blobs, &first.images);
        assert_eq!(Bundle::new(&images, &held).unwrap(), Bundle::default());
        // Under another name it gets the name.
        let other = holding(
            &blobs,
            &[(
                "docker.io/library/b:1".to_owned(),
                first.images[0].1.clone(),
            )],
        );
        let named = Bundle::new(&images, &other).unwrap();
        assert_eq!((named.layers, named.images), (0, first.images));
    }
}

#[test]
fn a_layer_in_another_compression_is_not_sent_again() {
    let images = images_of(&docker("a:1", &[b"one"])).unwrap();
    let (compressed, diff_id) = (sha(b"compressed"), sha(b"one"));
    let answer = format!(
        "--\n--\n{compressed} 1B 1 day containerd.io/uncompressed={diff_id}\n--\n{} 10\n",
        compressed.hex()
    );
    let held = Held::read(&format!("\n{answer}"));
    let bundle = Bundle::new(&images, &held).unwrap();
    assert_eq!(bundle.layers, 0);
    let manifest = bundle.parts.iter().find_map(|part| match &part.bytes {
        Bytes::Here(bytes) if part.path.starts_with("blobs/") => {
            Some(String::from_utf8_lossy(bytes))
        }
        _ => None,
    });
    let manifest = manifest.unwrap();
    assert!(manifest.contains(&compressed.to_string()), "{manifest}");
    assert!(manifest.contains("tar+gzip"), "{manifest}");
}

#[test]
fn images_share_their_layers() {
    let mut images = images_of(&docker("a:1", &[b"one", b"two"])).unwrap();
    images.extend(images_of(&docker("b:1", &[b"one", b"two"])).unwrap());
    let bundle = Bundle::new(&images, &Held::default()).unwrap();
    assert_eq!((bundle.layers, bundle.images.len()), (2, 2));
}

proptest! {
    /// Whatever a node has: what it has and what it is sent are together all that the image needs.
    #[test]
    fn nothing_is_missing_and_nothing_is_sent_twice(has in proptest::collection::vec(any::<bool>(), 5)) {
        let images = images_of(&docker("a:1", &LAYERS)).unwrap();
        let blobs: Vec<_> = LAYERS.iter().zip(&has).filter(|(_, has)| **has).map(|(layer, _)| blob(layer)).collect();
        let held = holding(&blobs, &[]);
        let bundle = Bundle::new(&images, &held).unwrap();
        for layer in LAYERS {
            let path = format!("blobs/sha256/{}", sha(layer).hex());
            let sent = bundle.parts.iter().filter(|part| part.path == path).count();
            prop_assert_eq!(sent, usize::from(!held.has(&sha(layer))));
        }
        prop_assert_eq!(bundle.layers, has.iter().filter(|has| !**has).count());
    }
}
