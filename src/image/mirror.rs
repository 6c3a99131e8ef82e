//! Where the nodes' container runtime looks for images of the official registry. PURE.

use super::context::File;

/// Kubernetes' own registry: what kubeadm, and the tests of Kubernetes, ask for by name.
const OFFICIAL: &str = "registry.k8s.io";

/// The file by which containerd asks a mirror before it asks the official registry; none where that is the registry itself.
/// `registry` is what the setting `source.imageRegistry` says: a host, perhaps with a port and a path, `http://` before it
/// where it has no TLS.
pub fn hosts_file(registry: &str) -> Option<File<'static>> {
    if registry == OFFICIAL {
        return None;
    }
    let plain = registry.strip_prefix("http://");
    let scheme = if plain.is_some() { "http" } else { "https" };
    let place = plain.unwrap_or(registry);
    // containerd would add `/v2` behind a path, where registries have it before.
    let place = match place.split_once('/') {
        Some((host, path)) => format!("{host}/v2/{path}"),
        None => format!("{place}/v2"),
    };
    // A mirror that lets a node's packets vanish must not cost each pull half a minute.
    let text = format!(
        r#"server = "https://{OFFICIAL}"

[host."{scheme}://{place}"]
  capabilities = ["pull", "resolve"]
  override_path = true
  dial_timeout = "3s"
"#
    );
    let path = format!("etc/containerd/certs.d/{OFFICIAL}/hosts.toml");
    Some(File::new(path, 0o644, text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_asked_below_its_path() {
        for (registry, asked) in [
            ("mirror:5000", "https://mirror:5000/v2"),
            ("http://10.0.0.1:5000", "http://10.0.0.1:5000/v2"),
            ("mirror/k8s/io", "https://mirror/v2/k8s/io"),
            ("registry.k8s.io/other", "https://registry.k8s.io/v2/other"),
        ] {
            let file = hosts_file(registry).unwrap();
            let text = String::from_utf8(file.data.into_owned()).unwrap();
            assert!(text.contains(&format!("[host.\"{asked}\"]\n")), "{text}");
        }
        assert_eq!(hosts_file("registry.k8s.io"), None);
    }

    #[test]
    fn the_official_registry_is_asked_last() {
        let file = hosts_file("mirror").unwrap();
        assert_eq!(
            file.path,
            "etc/containerd/certs.d/registry.k8s.io/hosts.toml"
        );
        insta::assert_snapshot!(String::from_utf8(file.data.into_owned()).unwrap(), @r#"
        server = "https://registry.k8s.io"

        [host."https://mirror/v2"]
          capabilities = ["pull", "resolve"]
          override_path = true
          dial_timeout = "3s"
        "#);
    }
}
