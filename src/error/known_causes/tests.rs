//! Each known cause, with a text in which it was seen.

use super::*;

/// Checks that a text brings exactly one hint, with these words in it.
fn one_hint(text: &str, words: &str) {
    let hints = hints(text, &[]);
    assert_eq!(hints.len(), 1, "{text}: {hints:?}");
    assert!(hints[0].contains(words), "{text}: {hints:?}");
}

#[test]
fn engine_is_down() {
    one_hint(
        "cannot reach Docker at tcp://10.0.0.1:2375\ntcp connect error: Connection refused (os error 111)",
        "is Docker running",
    );
    one_hint(
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "is Docker running",
    );
    one_hint(
        "cannot reach unix:///var/run/docker.sock\nNo such file or directory (os error 2)",
        "is Docker running",
    );
    one_hint("Socket not found: /run/docker.sock", "is Docker running");
}

#[test]
fn socket_is_not_for_this_user() {
    one_hint(
        "cannot reach unix:///var/run/docker.sock\nPermission denied (os error 13)",
        "usermod -aG docker",
    );
    one_hint(
        "permission denied while trying to connect to the Docker daemon socket",
        "usermod -aG docker",
    );
}

#[test]
fn addresses_are_taken() {
    one_hint(
        "invalid pool request: Pool overlaps with other one on this address space",
        "--dind-subnet",
    );
    one_hint(
        "could not find an available, non-overlapping IPv4 address pool among the defaults",
        "network prune",
    );
}

#[test]
fn port_is_taken() {
    one_hint(
        "Bind for 127.0.0.1:6443 failed: port is already allocated",
        "port",
    );
    one_hint(
        "listen tcp4 127.0.0.1:6443: bind: address already in use",
        "port",
    );
    one_hint(
        "Ports are not available: exposing port TCP 127.0.0.1:6443",
        "port",
    );
}

#[test]
fn inotify_limits() {
    one_hint(
        "Failed to allocate inotify instance: Too many open files",
        "sysctl",
    );
    one_hint(
        "failed to create inotify watch: no space left on device",
        "sysctl",
    );
}

#[test]
fn disk_is_full() {
    one_hint(
        "write /var/lib/etcd/wal: no space left on device",
        "docker system df",
    );
    one_hint("mkdir: disk quota exceeded", "docker system df");
    one_hint(
        "cannot write to standard output: No space left on device (os error 28)",
        "standard output",
    );
}

#[test]
fn capabilities_are_missing() {
    one_hint(
        "OCI runtime create failed: unable to apply caps: operation not permitted",
        "capabilities",
    );
}

#[test]
fn clocks_differ() {
    one_hint(
        "x509: certificate has expired or is not yet valid: current time 2001-01-01",
        "clocks",
    );
    one_hint("invalid peer certificate: NotValidYet", "clocks");
    one_hint(
        "invalid peer certificate: certificate not valid yet: verification time 1",
        "clocks",
    );
}

#[test]
fn someone_else_signs() {
    one_hint("x509: certificate signed by unknown authority", "proxy");
    one_hint("invalid peer certificate: UnknownIssuer", "proxy");
}

#[test]
fn cgroup_v1() {
    one_hint(
        "kubelet[7]: kubelet is configured to not run on a host using cgroup v1",
        "cgroup v1",
    );
    one_hint(
        "[ERROR SystemVerification]: cgroups v1 support is deprecated, set 'FailCgroupV1' to 'false'",
        "cgroup v1",
    );
}

#[test]
fn the_rest() {
    one_hint(
        "running with swap on is not supported, please disable swap!",
        "swapoff",
    );
    one_hint(
        "toomanyrequests: You have reached your pull rate limit",
        "mirror",
    );
    one_hint("exec /sbin/init: exec format error", "architecture");
    one_hint("fork/exec: cannot allocate memory", "memory");
}

#[test]
fn patterns_are_in_lower_case() {
    for cause in KNOWN_CAUSES {
        assert!(!cause.patterns.is_empty());
        assert!(
            cause
                .patterns
                .iter()
                .all(|pattern| pattern.to_lowercase() == **pattern),
            "{cause:?}"
        );
    }
}

#[test]
fn outputs_count_line_by_line_and_not_for_all() {
    assert_eq!(hints("failed", &["No space left on device"]), [DISK]);
    assert!(
        hints(
            "failed",
            &["pull docker.io/x", "dial tcp: connection refused"]
        )
        .is_empty()
    );
    assert!(hints("failed", &["docker: connection refused"]).is_empty());
    assert!(hints("failed", &["[WARNING X]: cgroups v1, FailCgroupV1"]).is_empty());
}

#[test]
fn no_cause_no_hint() {
    assert!(hints("something else", &["nor here"]).is_empty());
}
