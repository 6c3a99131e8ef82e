//! What a node has already. PURE: what its runtime prints, read.

use super::Digest;
use std::collections::BTreeMap;

/// Asks a node's runtime for its images and blobs, and their exact sizes, which `content ls` rounds.
pub(super) const ASK: &str = "set -e
ctr -n k8s.io images ls
echo --
ctr -n k8s.io content ls
echo --
cd /var/lib/containerd/io.containerd.content.v1.content/blobs/sha256
stat -L -c '%n %s' -- * 2>/dev/null || true";

/// The blobs and images of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Blobs with their sizes.
    blobs: BTreeMap<Digest, u64>,
    /// The blob of each layer that is known without compression.
    layers: BTreeMap<Digest, Digest>,
    /// Images by name, with the digests of their manifests.
    pub images: BTreeMap<String, Named>,
}

/// An image as a node's runtime lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// Its size as the runtime writes it, as in `77.1 MiB`.
    pub size: String,
}

impl Held {
    /// Reads the answer to the question. Lines that say something else are passed over: what is not known is sent.
    pub fn read(answer: &str) -> Self {
        let mut held = Self::default();
        let mut parts = answer.split("\n--\n");
        let (images, blobs, sizes) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        for line in images.lines() {
            // REF TYPE DIGEST SIZE UNIT PLATFORMS LABELS
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [name, _, digest, size, unit, ..] = words[..]
                && let Some(digest) = Digest::parse(digest)
            {
                let size = format!("{size} {unit}");
                held.images.insert(name.to_owned(), Named { digest, size });
            }
        }
        let sizes: BTreeMap<Digest, u64> = sizes
            .lines()
            .filter_map(|line| {
                let (hex, size) = line.split_once(' ')?;
                Some((Digest::from_hex(hex)?, size.parse().ok()?))
            })
            .collect();
        for line in blobs.lines() {
            let mut words = line.split_whitespace();
            let Some(digest) = words.next().and_then(Digest::parse) else {
                continue;
            };
            // What the list has and the disk has not is not there.
            let Some(size) = sizes.get(&digest) else {
                continue;
            };
            held.blobs.insert(digest.clone(), *size);
            let labels = words.next_back().unwrap_or_default();
            let uncompressed = labels
                .split(',')
                .find_map(|label| label.strip_prefix("containerd.io/uncompressed="));
            if let Some(diff_id) = uncompressed.and_then(Digest::parse) {
                held.layers.insert(diff_id, digest);
            }
        }
        held
    }

    /// Whether a blob is there.
    pub fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    /// Whether an image is there by this name, and is the one with this manifest.
    pub fn names(&self, name: &str, manifest: &Digest) -> bool {
        let named = self.images.get(name);
        named.is_some_and(|named| named.digest == *manifest)
    }

    /// The blob that is a layer, in whatever compression, with its size.
    pub fn layer(&self, diff_id: &Digest) -> Option<(&Digest, u64)> {
        let blob = self.layers.get(diff_id)?;
        Some((blob, *self.blobs.get(blob)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> Digest {
        Digest::from_hex(&digit.to_string().repeat(64)).unwrap()
    }

    #[test]
    fn a_runtimes_answer_is_read() {
        let [a, b, c, d] = ['a', 'b', 'c', 'd'].map(digest);
        let answer = format!(
            "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
             docker.io/me/app:1 application/vnd.oci.image.manifest.v1+json {a} 77.1 MiB linux/amd64 io.cri-containerd.image=managed \n\
             --\n\
             DIGEST\tSIZE\tAGE\tLABELS\n\
             {a}\t402B\t21 minutes\tcontainerd.io/gc.ref.content.config={b}\n\
             {b}\t43.3MB\tAbout an hour\tcontainerd.io/distribution.source.a=b,containerd.io/uncompressed={c}\n\
             {d}\t20MB\t2 hours\tcontainerd.io/uncompressed={d}\n\
             --\n\
             {} 402\n{} 43000001\n",
            a.hex(),
            b.hex()
        );
        let held = Held::read(&answer);
        assert!(held.has(&a) && held.has(&b));
        assert_eq!(held.layer(&c), Some((&b, 43_000_001)));
        assert!(!held.has(&c));
        // Listed, but its file is gone.
        assert!(!held.has(&d) && held.layer(&d).is_none());
        assert_eq!(held.images["docker.io/me/app:1"].size, "77.1 MiB");
        assert!(held.names("docker.io/me/app:1", &a));
        assert!(!held.names("docker.io/me/app:1", &b) && !held.names("docker.io/me/app:2", &a));
    }

    #[test]
    fn what_is_not_understood_counts_for_nothing() {
        for answer in [
            "",
            "--",
            "\n--\n\n--\n",
            "ctr: no such file\n--\nsha256:zz 1B\n--\nx 1\n",
        ] {
            assert_eq!(Held::read(answer), Held::default(), "{answer:?}");
        }
    }
}
