//! Names of images. PURE.

/// The whole name of what a user calls an image, as nodes know it: `nginx` is `docker.io/library/nginx:latest`. None
/// where it is no name.
pub fn whole(text: &str) -> Option<String> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    // A colon before the last slash belongs to a port.
    let colon = name
        .rfind(':')
        .filter(|colon| !name[*colon..].contains('/'));
    let (path, tag) = match colon {
        Some(colon) => (&name[..colon], Some(&name[colon + 1..])),
        None => (name, None),
    };
    let (host, path) = match path.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            (host, rest.to_owned())
        }
        Some(_) => ("docker.io", path.to_owned()),
        None => ("docker.io", format!("library/{path}")),
    };
    let word = |text: &str, also: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || also.as_bytes().contains(&byte))
    };
    let path_is_good = path.split('/').all(|part| {
        word(part, "._-")
            && part.bytes().all(|byte| !byte.is_ascii_uppercase())
            && part.starts_with(|first: char| first.is_ascii_alphanumeric())
    });
    let tag_is_good =
        tag.is_none_or(|tag| word(tag, "._-") && tag.len() <= 128 && !tag.starts_with(['.', '-']));
    let digest_is_good = digest.is_none_or(|digest| super::Digest::parse(digest).is_some());
    if !path_is_good
        || !tag_is_good
        || !digest_is_good
        || !host.split(['.', ':']).all(|part| word(part, "-"))
        || text.len() > 512
    {
        return None;
    }
    Some(match (tag, digest) {
        (tag, Some(digest)) => {
            let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
            format!("{host}/{path}{tag}@{digest}")
        }
        (tag, None) => format!("{host}/{path}:{}", tag.unwrap_or("latest")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_whole() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("me/app:1", "docker.io/me/app:1".to_owned()),
            ("localhost/app", "localhost/app:latest".to_owned()),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest".to_owned()),
            (
                "registry.k8s.io/pause:3.10.2",
                "registry.k8s.io/pause:3.10.2".to_owned(),
            ),
            (&format!("a.b/c@{digest}"), format!("a.b/c@{digest}")),
        ] {
            assert_eq!(whole(text).as_ref(), Some(&expected), "{text}");
            assert_eq!(whole(&expected).as_ref(), Some(&expected), "{text} twice");
        }
    }

    #[test]
    fn what_is_no_name_is_none() {
        for text in [
            "",
            "/",
            ":",
            "a/",
            "/a",
            "a//b",
            "A",
            "a:",
            "a:b c",
            "a:-b",
            "a@sha256:12",
            "../x",
            "a b",
            "-a",
            "a\n",
            "a:b:c/",
            "é",
        ] {
            assert_eq!(whole(text), None, "{text:?}");
        }
    }
}
