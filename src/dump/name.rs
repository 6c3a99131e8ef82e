//! The names of a dump's files. PURE: who writes a dump decides what is in it, and a name must not lead out of the
//! directory that it is split into.

/// No name is longer: that of a marker fits into any line.
const LONGEST: usize = 1024;
/// What file systems take for one name.
const LONGEST_PART: usize = 255;
/// No directory is deeper.
const DEEPEST: usize = 16;

/// What is wrong with a name as a path below a directory; nothing is wrong with most.
pub fn fault(name: &str) -> Option<&'static str> {
    let parts = || name.split('/');
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > LONGEST || parts().any(|part| part.len() > LONGEST_PART) {
        Some("it is too long")
    } else if name.starts_with('/') {
        Some("it begins at the root")
    } else if parts().any(|part| part == "..") {
        Some("it would lead out of the directory")
    } else if parts().any(|part| part.is_empty() || part == ".") {
        Some("it has an empty part")
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\u{fffd}') {
        Some("it has characters that no name of a dump has")
    } else if parts().count() > DEEPEST {
        Some("it is too deep")
    } else {
        None
    }
}

/// A name as the older tool's reader can use it: it makes no directories. No name of Kubernetes has two of `_`.
pub fn flat(path: &str) -> String {
    path.replace('/', "__")
}

/// A part of a path, of a text that comes from elsewhere.
pub fn part(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:@+=".contains(c);
    let mut part: String = text
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(LONGEST_PART)
        .collect();
    if part.is_empty() || part.chars().all(|c| c == '.') {
        part.insert(0, '-');
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within() {
        for name in [
            "a.txt",
            "kube-master/journal/kubelet.log",
            "...",
            "a/..b",
            "pod-kube-node-1-default-web--c.log",
            "api/cluster/clusterroles.rbac.authorization.k8s.io.yaml",
        ] {
            assert_eq!(fault(name), None, "{name}");
        }
        for name in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "a//b",
            "a/",
            "./a",
            "a/./b",
            "a b",
            "a\tb",
            "a\0b",
            "a\nb",
            "\u{fffd}",
        ] {
            assert!(fault(name).is_some(), "{name:?}");
        }
        assert!(fault(&"a".repeat(256)).is_some());
        assert!(fault(&"a/".repeat(16)).is_some());
        assert!(fault(&format!("{}a", "a/".repeat(16))).is_some());
        assert!(fault(&format!("{}a", "aaaaaaaa/".repeat(120))).is_some());
    }

    proptest::proptest! {
        #[test]
        fn what_is_not_refused_is_below(name in "[./a-c ]{0,12}") {
            if fault(&name).is_none() {
                let path = std::path::Path::new("base").join(&name);
                let within = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
                proptest::prop_assert!(within && path.starts_with("base"));
            }
        }

        #[test]
        fn any_text_becomes_a_part(text in ".{0,300}") {
            let part = part(&text);
            proptest::prop_assert!(fault(&part).is_none() && !part.contains('/'), "{part}");
        }
    }
}
