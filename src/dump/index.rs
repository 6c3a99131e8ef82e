//! The first file of a dump: what is in it, and what could not be had. PURE.

use std::fmt::Write as _;
use std::time::Duration;

/// Its name.
pub const NAME: &str = "index.txt";

/// Before the list of files.
const FILES: &str = "files (bytes, SHA-256, name):";

/// A file of the dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest, in hexadecimal.
    pub sha256: String,
}

/// Something that could not be had, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// The file that it would have been, or is a part of.
    pub path: String,
    /// Why, in a line.
    pub why: String,
}

/// What a dump has to say of itself.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The name of the cluster.
    pub cluster: String,
    /// When it was made.
    pub at: String,
    /// How long the collecting took.
    pub took: Duration,
    /// What is known of versions, a line each.
    pub versions: Vec<String>,
    /// The nodes, and what each was doing.
    pub nodes: Vec<(String, String)>,
    /// What could not be had.
    pub failures: Vec<Failure>,
    /// What is left out on purpose.
    pub left_out: Vec<String>,
    /// All files but this one.
    pub files: Vec<File>,
}

/// Before its name, so that those about the whole come first.
pub fn rank(path: &str) -> (u8, &str) {
    let (top, below) = path.split_once('/').unwrap_or((path, ""));
    let rank = match (top, below) {
        (NAME, _) => 0,
        (_, "") => 1,
        ("runs", _) => 2,
        ("api", _) => 3,
        ("engine", _) => 4,
        // What is long comes last: a log that is cut off loses that first.
        (_, below) if below.starts_with("pods/") => 7,
        (_, below) if below.starts_with("journal/") => 6,
        _ => 5,
    };
    (rank, path)
}

impl Index {
    /// As text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "dump of cluster `{}`, {}, collected in {:.1} s",
            self.cluster,
            self.at,
            self.took.as_secs_f64()
        );
        for line in &self.versions {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "\nnodes:");
        for (name, state) in &self.nodes {
            let _ = writeln!(text, "  {name:<16} {state}");
        }
        let _ = writeln!(
            text,
            "\nwhat could not be had, or not all of it: {}",
            self.failures.len()
        );
        for Failure { path, why } in &self.failures {
            let _ = writeln!(text, "  {path}: {}", why.replace(['\n', '\r'], " "));
        }
        let _ = writeln!(text, "\nleft out on purpose:");
        for line in &self.left_out {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "\n{FILES}");
        for File { path, size, sha256 } in &self.files {
            let _ = writeln!(text, "  {size:>9} {sha256} {path}");
        }
        text
    }
}

/// The files that an index lists; none where it is no index of ours.
pub fn files(text: &str) -> Vec<File> {
    let Some((_, list)) = text.split_once(&format!("\n{FILES}\n")) else {
        return Vec::new();
    };
    let file = |line: &str| {
        let mut words = line.split_whitespace();
        let (size, sha256, path) = (words.next()?, words.next()?, words.next()?);
        Some(File {
            path: path.to_owned(),
            size: size.parse().ok()?,
            sha256: sha256.to_owned(),
        })
    };
    list.lines().map_while(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_again() {
        let file = |path: &str, size| File {
            path: path.to_owned(),
            size,
            sha256: "ab".repeat(32),
        };
        let index = Index {
            cluster: "local-cluster-dev".to_owned(),
            at: "2026-11-21T15:00:00Z".to_owned(),
            took: Duration::from_millis(4210),
            versions: vec!["local-cluster 0.1.0".to_owned()],
            nodes: vec![("kube-master".to_owned(), "running".to_owned())],
            failures: vec![Failure {
                path: "kube-node-1".to_owned(),
                why: "it does not run:\nit is stopped".to_owned(),
            }],
            left_out: vec!["secrets".to_owned()],
            files: vec![
                file("versions.txt", 7),
                file("kube-master/journal/all.log", 12_345_678_901),
            ],
        };
        let text = index.text();
        assert_eq!(files(&text), index.files);
        insta::assert_snapshot!(text, @r"
        dump of cluster `local-cluster-dev`, 2026-11-21T15:00:00Z, collected in 4.2 s
        local-cluster 0.1.0

        nodes:
          kube-master      running

        what could not be had, or not all of it: 1
          kube-node-1: it does not run: it is stopped

        left out on purpose:
          secrets

        files (bytes, SHA-256, name):
                  7 abababababababababababababababababababababababababababababababab versions.txt
          12345678901 abababababababababababababababababababababababababababababababab kube-master/journal/all.log
        ");
        assert_eq!(files("some text"), []);
        assert_eq!(files(&format!("\n{FILES}\n  x y z\n")), []);
    }

    #[test]
    fn what_is_about_the_whole_comes_first() {
        let mut paths = [
            "kube-node-1/pods/default/web/web.0.log",
            "kube-master/journal/all.log",
            "api/nodes.txt",
            "versions.txt",
            "engine/info.json",
            "kube-master/disk.txt",
            NAME,
        ];
        paths.sort_by(|a, b| rank(a).cmp(&rank(b)));
        assert_eq!(
            paths,
            [
                NAME,
                "versions.txt",
                "api/nodes.txt",
                "engine/info.json",
                "kube-master/disk.txt",
                "kube-master/journal/all.log",
                "kube-node-1/pods/default/web/web.0.log",
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(\nfiles \\(bytes, SHA-256, name\\):\n)?.{0,20}(\n  [0-9]{1,30} [a-z]{0,3} ?x?){0,3}") {
            let _ = files(&text);
        }
    }
}
