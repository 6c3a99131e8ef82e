//! Whole files, as users have them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;
use serde_yaml::{Mapping, Value};

use super::*;

const ADMIN: &str = "\
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    certificate-authority-data: Q0E=
    server: https://127.0.0.1:6443
contexts:
- name: kubernetes-admin@kubernetes
  context:
    cluster: kubernetes
    user: kubernetes-admin
current-context: kubernetes-admin@kubernetes
users:
- name: kubernetes-admin
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
";

const EXISTING: &str = "\
apiVersion: v1
kind: Config
preferences:
  colors: true
clusters:
- name: production
  cluster:
    server: https://example.com
    tls-server-name: odd
users: null
contexts:
- name: production
  context: {cluster: production, namespace: shop, user: me}
current-context: production
x-unknown: [1, two]
";

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_file_and_its_directory_are_made() {
    let directory = directory();
    let path = directory.path().join(".kube/config");
    merge_into(&path, ADMIN, "local-cluster").unwrap();
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap(), @r"
    apiVersion: v1
    kind: Config
    clusters:
    - name: local-cluster
      cluster:
        certificate-authority-data: Q0E=
        server: https://127.0.0.1:6443
    users:
    - name: local-cluster
      user:
        client-certificate-data: Q0VSVA==
        client-key-data: S0VZ
    contexts:
    - name: local-cluster
      context:
        cluster: local-cluster
        user: local-cluster
    current-context: local-cluster
    ");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "no lock, no rest"
    );
}

#[test]
fn what_was_there_stays() {
    let directory = directory();
    let path = directory.path().join("config");
    fs::write(&path, EXISTING).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    merge_into(&path, ADMIN, "local-cluster-3").unwrap();
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap(), @r"
    apiVersion: v1
    kind: Config
    preferences:
      colors: true
    clusters:
    - name: production
      cluster:
        server: https://example.com
        tls-server-name: odd
    - name: local-cluster-3
      cluster:
        certificate-authority-data: Q0E=
        server: https://127.0.0.1:6443
    users:
    - name: local-cluster-3
      user:
        client-certificate-data: Q0VSVA==
        client-key-data: S0VZ
    contexts:
    - name: production
      context:
        cluster: production
        namespace: shop
        user: me
    - name: local-cluster-3
      context:
        cluster: local-cluster-3
        user: local-cluster-3
    current-context: local-cluster-3
    x-unknown:
    - 1
    - two
    ");
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn merging_again_replaces_and_writes_only_changes() {
    let directory = directory();
    let path = directory.path().join("config");
    merge_into(&path, ADMIN, "a").unwrap();
    let commented = format!("# mine\n{}", fs::read_to_string(&path).unwrap());
    fs::write(&path, &commented).unwrap();
    merge_into(&path, ADMIN, "a").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), commented);

    merge_into(&path, &ADMIN.replace("6443", "7000"), "a").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(":7000") && !text.contains(":6443"), "{text}");
    assert_eq!(text.matches("- name: a").count(), 3, "{text}");
}

#[test]
fn removing_unsets_only_our_context() {
    let directory = directory();
    let path = directory.path().join("config");
    fs::write(&path, EXISTING).unwrap();
    merge_into(&path, ADMIN, "a").unwrap();
    merge_into(&path, ADMIN, "b").unwrap();
    remove_from(&path, "a").unwrap();
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .contains("current-context: b")
    );
    remove_from(&path, "b").unwrap();
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap(), @r"
    apiVersion: v1
    kind: Config
    preferences:
      colors: true
    clusters:
    - name: production
      cluster:
        server: https://example.com
        tls-server-name: odd
    users: []
    contexts:
    - name: production
      context:
        cluster: production
        namespace: shop
        user: me
    current-context: ''
    x-unknown:
    - 1
    - two
    ");
}

#[test]
fn removing_what_is_not_there_leaves_the_file_as_it_is() {
    let directory = directory();
    let path = directory.path().join("config");
    for text in ["", "# mine\nusers: null\n", "clusters: 7"] {
        fs::write(&path, text).unwrap();
        remove_from(&path, "a").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn removing_from_no_file_makes_none() {
    let directory = directory();
    let path = directory.path().join("none/config");
    remove_from(&path, "a").unwrap();
    assert!(!path.parent().unwrap().exists());
}

#[test]
fn a_link_stays_a_link() {
    let directory = directory();
    let (real, link) = (directory.path().join("real"), directory.path().join("link"));
    symlink("real", &link).unwrap();
    merge_into(&link, ADMIN, "a").unwrap();
    merge_into(&link, ADMIN, "b").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::symlink_metadata(&real).unwrap().is_file());
    assert!(
        fs::read_to_string(&real)
            .unwrap()
            .contains("current-context: b")
    );
}

#[test]
fn a_broken_file_is_left_alone() {
    let directory = directory();
    let path = directory.path().join("config");
    for broken in [
        "a: [",
        "just text",
        "clusters: 7",
        "- list",
        "a: 1\na: 2",
        "contexts: {a: b}",
    ] {
        fs::write(&path, broken).unwrap();
        let error = merge_into(&path, ADMIN, "a").unwrap_err();
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("not changed"));
        assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "{broken}"
        );
    }
}

#[test]
fn an_admin_conf_must_be_whole() {
    let directory = directory();
    let path = directory.path().join("config");
    for broken in [
        "",
        "a: [",
        "kind: Config",
        &ADMIN.replace("name: kubernetes-admin\n", "name: x\n"),
    ] {
        let error = merge_into(&path, broken, "a").unwrap_err();
        assert!(matches!(error, KubeconfigError::Admin(_)), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn the_users_file_is_found_as_kubectl_finds_it() {
    let directory = directory();
    let existing = directory.path().join("b");
    fs::write(&existing, "").unwrap();
    let of = |kubeconfig: &str, home: &str| {
        let pairs = [("KUBECONFIG", kubeconfig), ("HOME", home)];
        user_path(
            &pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        )
    };
    let existing_after = format!(":/none/a:{}", existing.display());
    assert_eq!(of(&existing_after, "/home/me"), Some(existing));
    assert_eq!(of("/none/a:/none/b", "/home/me"), Some("/none/a".into()));
    assert_eq!(of("", "/home/me"), Some("/home/me/.kube/config".into()));
    assert_eq!(of(":", ""), None);
}

fn admin() -> merge::Access {
    merge::Access::of(&serde_yaml::from_str(ADMIN).unwrap(), "ours").unwrap()
}

/// A kubeconfig with entries of other names and fields that nobody knows.
fn configs() -> impl Strategy<Value = Value> {
    let entry = ("[a-z]{1,6}", "[ -~]{0,8}").prop_map(|(name, content)| {
        let pairs = [("name", format!("{name}-")), ("content", content)];
        Value::from(
            pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect::<Mapping>(),
        )
    });
    let list = prop::collection::vec(entry, 0..4).prop_map(Value::from);
    let unknown = prop::collection::btree_map("x-[a-z]{1,4}", any::<i64>(), 0..3);
    (list.clone(), list.clone(), list, unknown).prop_map(|(clusters, users, contexts, unknown)| {
        let mut config: Mapping = unknown
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        for (name, value) in [
            ("apiVersion", "v1".into()),
            ("kind", "Config".into()),
            ("clusters", clusters),
            ("users", users),
            ("contexts", contexts),
            ("current-context", "".into()),
        ] {
            config.insert(name.into(), value);
        }
        config.into()
    })
}

proptest! {
    #[test]
    fn merging_and_removing_gives_back_what_was_there(config in configs()) {
        let merged = merge::merge(config.clone(), &admin()).unwrap();
        prop_assert_ne!(&merged, &config);
        prop_assert_eq!(&merge::merge(merged.clone(), &admin()).unwrap(), &merged);
        prop_assert_eq!(merge::remove(merged, "ours").unwrap(), config);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|([a-z]+: ?[\\[\\]{}\\-a-z&*!]{0,6}\n){0,6}|(clusters|users|contexts):\n( ?- ?(name: [a-z]*)?\n){0,3}") {
        if let Ok(value) = serde_yaml::from_str::<Value>(&text) {
            let _ = merge::merge(value.clone(), &admin());
            let _ = merge::remove(value.clone(), "ours");
            let _ = merge::Access::of(&value, "ours");
        }
    }
}
