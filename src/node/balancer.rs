//! What stands before several masters. PURE: the configuration of HAProxy.

use crate::cluster::{API_SERVER_PORT, ClusterSpec};
use std::fmt::Write as _;

/// Connections go through as they are: TLS and certificates are the API servers'. Each is asked whether it is ready, so
/// that none is used that still starts, that ends, or that has lost its etcd.
///
/// All masters are listed that the cluster can have, since their addresses are fixed: who comes later needs no new
/// configuration, and who is not there does not answer.
///
/// New connections to one that does not take them go to another soon: it has the fewest, and would get all of them until its
/// loss is known. Those to one that is lost are ended by TCP itself, or clients would wait for it: by these probes where
/// nothing is on the way, else by [`SYSCTLS`]. Those that stand still are not, as watches may, nor those to a master that is
/// frozen or that does not read on: its kernel answers. HAProxy could end them when it marks a server as down, but of those
/// that it is just making then some are never ended, nor made (3.0.11, where the server's address answers nothing; seen in
/// every second loss of a master).
const HEAD: &str = "\
# Written by `local-cluster`.
global
    maxconn 4000
    # Asked to end, it waits for the connections that there are.
    hard-stop-after 100ms
    user haproxy
    group haproxy
defaults
    mode tcp
    retries 3
    option redispatch 1
    option clitcpka
    option srvtcpka
    srvtcpka-idle 2s
    srvtcpka-intvl 1s
    srvtcpka-cnt 3
    timeout connect 1s
    timeout check 2s
    timeout client 24h
    timeout server 24h
    timeout queue 10s
frontend api-server
    bind :6443
    default_backend masters
backend masters
    balance leastconn
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
    default-server check check-ssl verify none inter 1s fastinter 200ms downinter 300ms fall 2 rise 1
";

/// Of the container's network: what was sent is given up when none of it is acknowledged in 6 s, in place of a quarter of
/// an hour. HAProxy's own limit for that counts the time in which the other side does not read, too.
pub const SYSCTLS: [(&str, &str); 1] = [("net.ipv4.tcp_retries2", "4")];

/// The whole configuration.
pub(super) fn configuration(spec: &ClusterSpec) -> String {
    spec.possible_masters()
        .fold(HEAD.to_owned(), |mut text, master| {
            writeln!(
                text,
                "    server {} {}:{API_SERVER_PORT}",
                master.name, master.docker_address
            )
            .expect("writing to memory does not fail");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;

    #[test]
    fn it_knows_all_masters_that_there_can_be() {
        let text = configuration(&sample::three_masters(0));
        insta::assert_snapshot!(text.strip_prefix(HEAD).unwrap(), @r"
            server kube-master 10.192.0.2:6443
            server kube-master-2 10.192.0.103:6443
            server kube-master-3 10.192.0.104:6443
            server kube-master-4 10.192.0.105:6443
            server kube-master-5 10.192.0.106:6443
        ");
    }
}
