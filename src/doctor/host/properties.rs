//! What the kernel writes, and what it never would.

use super::*;
use proptest::prelude::*;

/// A route as `/proc/net/route` has it.
fn line(interface: &str, network: Ipv4Network) -> String {
    let hex = |address: Ipv4Addr| format!("{:08X}", u32::from(address).swap_bytes());
    let (destination, mask) = (hex(network.network()), hex(network.mask()));
    format!("{interface}\t{destination}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0")
}

fn any_network() -> impl Strategy<Value = Ipv4Network> {
    (any::<u32>(), 0..=32_u8).prop_map(|(address, prefix)| {
        let network = Ipv4Network::new(address.into(), prefix).unwrap();
        Ipv4Network::new(network.network(), prefix).unwrap()
    })
}

proptest! {
    #[test]
    fn any_text_is_read(text: String) {
        parse_routes(&text);
        memory_available(&text);
    }

    #[test]
    fn any_fields_are_read(fields in proptest::collection::vec("[0-9A-Fa-f]{0,10}|\\PC{0,4}", 0..14)) {
        parse_routes(&format!("header\n{}", fields.join("\t")));
    }

    #[test]
    fn every_route_is_found_with_its_interface(
        routes in proptest::collection::vec(("(eth|tun|wg|enp0s)[0-9]", any_network()), 0..8),
    ) {
        let lines: Vec<String> = routes.iter().map(|(interface, network)| line(interface, *network)).collect();
        let found = parse_routes(&format!("Iface\tDestination\n{}\n", lines.join("\n")));
        let wanted: Vec<Taken> = routes
            .into_iter()
            .map(|(interface, subnet)| Taken { what: format!("a route of this host by {interface}"), subnet })
            .collect();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn bridges_of_docker_are_left_to_the_engine(network in any_network(), name in "docker0|br-[0-9a-f]{12}") {
        prop_assert_eq!(parse_routes(&format!("header\n{}\n", line(&name, network))), []);
    }

    #[test]
    fn any_amount_of_memory_is_read(kilobytes: u64) {
        let found = memory_available(&format!("MemFree: 1 kB\nMemAvailable: {kilobytes} kB\n"));
        prop_assert_eq!(found, kilobytes.checked_mul(1024));
    }
}
