# shellcheck shell=bash
# What the scripts here share: to be sourced, not run. Puts what they need on a Debian or Ubuntu machine,
# starts Docker's engine, measures the parts of a run. Everything can be done again: what is there stays.

set -euo pipefail

# Daemons live in sbin, rustup's programs in a directory that a fresh shell may not know yet.
PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export target_dir=${CARGO_TARGET_DIR:-target}
docker_socket=/var/run/docker.sock

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $1"
    shift
    local hint
    for hint in "$@"; do say "hint: $hint"; done
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "root's rights are needed for: $*" "run this as root, or install sudo"
    fi
}

# --- Time -----------------------------------------------------------------------------------------------------

parts=()
part_name=
part_start=0

# part NAME: all from here to the next part, or to the end, is this part of the time.
part() {
    end_part
    part_name=$1
    part_start=$SECONDS
    say "== $1"
}

end_part() {
    if [ -n "$part_name" ]; then parts+=("$(printf '%-24s %5d s' "$part_name" $((SECONDS - part_start)))"); fi
    part_name=
}

print_parts() {
    end_part
    say "== time"
    say "$(printf '%s\n' ${parts[@]+"${parts[@]}"} "$(printf '%-24s %5d s' total "$SECONDS")")"
}

# --- Packages -------------------------------------------------------------------------------------------------

# need THING=PACKAGE...: installs the packages whose thing, a command or the path of a file, is not there.
need() {
    local pair thing missing=()
    for pair in "$@"; do
        thing=${pair%%=*}
        [ -e "$thing" ] || command -v "$thing" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        fail "packages are missing: ${missing[*]}" "this is not Debian or Ubuntu: install what corresponds to them and run this again"
    say "installing packages: ${missing[*]}"
    apt_update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
}

apt_updated=
apt_update() {
    [ -z "$apt_updated" ] || return 0
    as_root apt-get update >&2
    apt_updated=1
}

# A Rust toolchain that is new enough, and the C compiler that the build of `ring` wants.
need_rust() {
    need cc=gcc /usr/include/stdlib.h=libc6-dev
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if ! command -v cargo >/dev/null; then
        # Only newer releases of Debian and Ubuntu have rustup; their own cargo is too old in the older ones.
        if command -v apt-get >/dev/null; then apt_update; fi
        apt-cache show rustup >/dev/null 2>&1 ||
            fail "cargo is missing, and this system has no package rustup" "install Rust $wanted or newer as https://rustup.rs says and run this again"
        need rustup=rustup
        rustup toolchain install stable --profile minimal --component clippy --component rustfmt
        rustup default stable
    fi
    have=$(cargo --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] ||
        fail "cargo is $have, and $wanted or newer is needed" "\`rustup update stable\`, or install Rust as https://rustup.rs says"
}

# --- Docker's engine ------------------------------------------------------------------------------------------

# ping_docker SOCKET [PREFIX...]: whether an engine answers there. Needs no docker command, as the program itself does not.
ping_docker() {
    local socket=$1
    shift
    "$@" curl --silent --fail --max-time 10 --output /dev/null --unix-socket "$socket" http://localhost/_ping
}

# Makes an engine answer: the one that DOCKER_HOST names, or the local one, installed and started where it is missing.
need_docker() {
    need curl=curl /etc/ssl/certs/ca-certificates.crt=ca-certificates mmdebstrap=mmdebstrap \
        /usr/share/keyrings/debian-archive-keyring.gpg=debian-archive-keyring
    if [ -n "${DOCKER_HOST:-}" ]; then
        say "DOCKER_HOST is set: using the engine at $DOCKER_HOST as it is"
        return
    fi
    if ! ping_docker "$docker_socket"; then
        need dockerd=docker.io iptables=iptables
        # It may be running already (the package starts it under systemd), and only the right to use it be missing.
        ping_docker "$docker_socket" as_root || start_docker
        ping_docker "$docker_socket" ||
            fail "docker runs, but $docker_socket is closed to you" "\`sudo usermod -aG docker $(id -un)\`, log in again, and run this again"
    fi
    say "docker answers at $docker_socket"
    raise_limit fs/inotify/max_user_instances 1024
    raise_limit fs/inotify/max_user_watches 524288
}

# A registry for the tests of released images. The package's own service is not wanted: it would take port 5000.
need_registry() {
    ! command -v docker-registry >/dev/null || return 0
    need docker-registry=docker-registry
    if [ -d /run/systemd/system ]; then as_root systemctl disable --now docker-registry; fi
}

# Prometheus' own checker of metrics, for the tests. Its package runs a server, so only the one program is taken out of it.
need_promtool() {
    local folder
    folder=$(realpath -m "$target_dir/tools/bin")
    PATH=$PATH:$folder
    ! command -v promtool >/dev/null || return 0
    command -v apt-get >/dev/null || fail "promtool is missing" "install Prometheus and run this again"
    apt_update
    mkdir -p "$folder"
    (
        cd "$folder"
        apt-get -o APT::Sandbox::User=root download prometheus >&2
        dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >promtool.new
        rm prometheus_*.deb
        chmod 755 promtool.new
        mv promtool.new promtool
    )
}

start_docker() {
    if [ -d /run/systemd/system ]; then
        say "starting docker with systemd"
        as_root systemctl start docker || fail "docker does not start" "\`journalctl -u docker\` says why"
        await "docker to answer" "" "" ping_docker "$docker_socket" as_root
    else
        forget_dead /var/run/docker.pid dockerd
        forget_dead /var/run/docker/containerd/containerd.pid containerd
        start_dockerd "$docker_socket" /var/log/dockerd.log
    fi
}

# Stops the engine, and with it all containers, and starts it again.
restart_docker() {
    if [ -d /run/systemd/system ]; then
        as_root systemctl restart docker
        await "docker to answer" "" "" ping_docker "$docker_socket" as_root
    else
        end_dockerd TERM
        start_docker
    fi
}

# Kills the engine, which can do nothing about it, and starts it again.
crash_docker() {
    if [ -d /run/systemd/system ]; then
        # It has the service started again, but not at once.
        as_root systemctl kill --kill-whom=main --signal=KILL docker
    else
        end_dockerd KILL
    fi
    start_docker
}

# end_dockerd SIGNAL
end_dockerd() {
    local pid
    pid=$(as_root cat /var/run/docker.pid)
    say "ending dockerd with SIG$1"
    as_root kill -s "$1" "$pid"
    await "dockerd to end" /var/log/dockerd.log "" has_ended "$pid"
}

# has_ended PID: the process is gone, or only waits for somebody to ask how it ended.
has_ended() {
    ! [ -d "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}

# forget_dead FILE NAME: dockerd trusts a pid file whose number some other process has got since.
forget_dead() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    if has_ended "$pid" || [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$2" ]; then as_root rm -f "$1"; fi
}

# start_dockerd SOCKET LOG [ARGUMENT...]: the daemon as a process of its own that outlives this script.
start_dockerd() {
    local socket=$1 log=$2 pid
    shift 2
    say "no service manager runs here: starting dockerd in the background, its log is $log"
    # shellcheck disable=SC2016  # expanded by the inner shell, which may be root's
    pid=$(as_root sh -c 'log=$1; shift; nohup setsid dockerd "$@" </dev/null >>"$log" 2>&1 & echo $!' sh "$log" "$@")
    await "dockerd to answer" "$log" "$pid" ping_docker "$socket" as_root
}

# await WHAT LOG PID COMMAND...: until the command succeeds; at once no more when the process PID, if given, has ended.
await() {
    local what=$1 log=$2 pid=$3 deadline=$((SECONDS + 120)) trouble=
    shift 3
    until "$@" 2>/dev/null; do
        if [ -n "$pid" ] && ! [ -d "/proc/$pid" ]; then trouble="its process has ended"; fi
        if [ "$SECONDS" -ge "$deadline" ]; then trouble="nothing for 120 s"; fi
        if [ -n "$trouble" ]; then
            if [ -z "$log" ]; then fail "waiting for $what: $trouble"; fi
            as_root tail -n 20 "$log" >&2
            fail "waiting for $what: $trouble" "above is the end of its log, $log"
        fi
        sleep 0.2
    done
}

# All nodes, each with a systemd, a kubelet and a container runtime, share the host's inotify limits.
raise_limit() {
    local file=/proc/sys/$1 name=${1//\//.} value=$2 have
    have=$(cat "$file")
    [ "$have" -lt "$value" ] || return 0
    if (as_root sh -c "echo $value >$file") 2>/dev/null; then
        say "raised $name from $have to $value until the next boot (a file in /etc/sysctl.d keeps it)"
    else
        say "warning: $name is $have, too low for many nodes"
        say "hint: \`sysctl -w $name=$value\` as root, on the engine's host"
    fi
}
