//! Which images the chosen tests need, and where each comes from. PURE.

use std::collections::{BTreeMap, BTreeSet};

/// Images that are assembled here, by the names that the tests' own table gives them, with what there is to say of each.
const ASSEMBLED: [(&str, &str); 14] = [
    ("Agnhost", ""),
    ("AgnhostPrev", "of the same sources as the newer agnhost"),
    (
        "APIServer",
        "of the sample-apiserver of the tests' own version",
    ),
    ("BusyBox", "busybox, built from Debian's source"),
    ("GlibcDnsTesting", "Debian's dig"),
    ("IpcUtils", "Debian's util-linux"),
    ("Kitten", ""),
    ("Nautilus", ""),
    ("Nginx", "Debian's nginx"),
    ("NginxNew", "Debian's nginx"),
    ("NonRoot", "busybox, built from Debian's source"),
    ("Nonewprivs", ""),
    ("RegressionIssue74839", ""),
    ("ResourceConsumer", "Debian's stress"),
];
/// Images that are in every node.
const KUBEADMS: [&str; 2] = ["Etcd", "Pause"];
/// What only the names have of images that are not meant to be had: a test wants to see them fail, or brings a password.
const NEVER: [&str; 3] = [
    "invalid.registry.k8s.io/",
    "gcr.io/k8s-authenticated-test/",
    "gcr.io/authenticated-image-pulling/",
];

/// Where an image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Every node has it.
    Node,
    /// It is assembled here; what there is to say of that.
    Assembled(&'static str),
    /// Nowhere, and no test minds.
    Never,
    /// Only a registry has it.
    Registry,
}

/// An image that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The name that nodes ask for.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
}

/// The tests that were chosen, as the suite itself lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Their names.
    pub specs: Vec<String>,
    files: BTreeSet<String>,
    images: BTreeMap<String, String>,
    uses: Vec<(String, String)>,
}

impl Chosen {
    /// Takes a line of `run-tests list`.
    pub fn take(&mut self, line: &str) {
        let Some((kind, rest)) = line.split_once(' ') else {
            return;
        };
        let pair = || {
            rest.split_once(' ')
                .map(|(one, two)| (one.to_owned(), two.to_owned()))
        };
        match kind {
            "spec" => self.specs.push(rest.to_owned()),
            "file" => {
                self.files.insert(short(rest).to_owned());
            }
            "image" => self.images.extend(pair()),
            "uses" => self.uses.extend(pair()),
            _ => {}
        }
    }

    /// The images that these tests may ask for: those that are named in the files of the chosen tests, and in the files
    /// that help tests everywhere; all where it is not known which file names which.
    pub fn needs(&self) -> Vec<Need> {
        if self.specs.is_empty() {
            return Vec::new();
        }
        let needed = |file: &str| self.files.contains(file) || helps(file);
        let ids: BTreeSet<&String> = if self.uses.is_empty() {
            self.images.keys().collect()
        } else {
            let used = self.uses.iter().filter(|(file, _)| needed(file));
            used.map(|(_, id)| id).collect()
        };
        let needs = ids.into_iter().filter_map(|id| {
            // What is used besides images (functions of the package) has no name in the table.
            let name = self.images.get(id)?.clone();
            let source = match ASSEMBLED.iter().find(|(known, _)| known == id) {
                Some((_, note)) => Source::Assembled(note),
                None if KUBEADMS.contains(&id.as_str()) => Source::Node,
                None if NEVER.iter().any(|start| name.starts_with(start)) => Source::Never,
                None => Source::Registry,
            };
            Some(Need { name, source })
        });
        needs.collect()
    }
}

/// A file's path within Kubernetes: `k8s.io/kubernetes@v1.36.3/test/e2e/a.go`.
fn short(path: &str) -> &str {
    path.find("test/e2e/").map_or(path, |at| &path[at..])
}

/// Files whose images any test may ask for.
fn helps(file: &str) -> bool {
    let below = [
        "test/e2e/framework/pod/",
        "test/e2e/framework/network/",
        "test/e2e/framework/service/",
    ];
    below.iter().any(|folder| file.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_follow_from_the_files_of_the_tests() {
        let mut chosen = Chosen::default();
        for line in "spec [sig-network] Services should serve
file k8s.io/kubernetes@v1.36.3/test/e2e/network/service.go
image Agnhost registry.k8s.io/e2e-test-images/agnhost:2.63.0
image Pause registry.k8s.io/pause:3.10.2
image Perl registry.k8s.io/e2e-test-images/perl:5.26
image VolumeNFSServer registry.k8s.io/e2e-test-images/volume/nfs:1.6.0
uses test/e2e/network/service.go Agnhost
uses test/e2e/network/service.go GetE2EImage
uses test/e2e/network/service.go VolumeNFSServer
uses test/e2e/framework/pod/utils.go Pause
uses test/e2e/apps/job.go Perl
what is this
"
        .lines()
        {
            chosen.take(line);
        }
        let needs: Vec<(String, Source)> = chosen
            .needs()
            .into_iter()
            .map(|need| (need.name, need.source))
            .collect();
        assert_eq!(
            needs,
            [
                (
                    "registry.k8s.io/e2e-test-images/agnhost:2.63.0".to_owned(),
                    Source::Assembled("")
                ),
                ("registry.k8s.io/pause:3.10.2".to_owned(), Source::Node),
                (
                    "registry.k8s.io/e2e-test-images/volume/nfs:1.6.0".to_owned(),
                    Source::Registry
                ),
            ]
        );
        assert!(Chosen::default().needs().is_empty());
    }

    #[test]
    fn released_tests_may_ask_for_any_image() {
        let mut chosen = Chosen::default();
        for line in "spec [sig-network] Services should serve
file k8s.io/kubernetes@v1.36.3/test/e2e/network/service.go
image gcr.io/k8s-authenticated-test/agnhost:2.6 gcr.io/k8s-authenticated-test/agnhost:2.6
image invalid.registry.k8s.io/invalid/alpine:3.1 invalid.registry.k8s.io/invalid/alpine:3.1
image registry.k8s.io/e2e-test-images/agnhost:2.63.0 registry.k8s.io/e2e-test-images/agnhost:2.63.0"
            .lines()
        {
            chosen.take(line);
        }
        let sources: Vec<Source> = chosen.needs().iter().map(|need| need.source).collect();
        assert_eq!(sources, [Source::Never, Source::Never, Source::Registry]);
    }
}
