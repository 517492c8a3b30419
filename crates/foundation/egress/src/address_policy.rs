//! Which addresses may be connected to.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far a target may lie inside our own network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Only public addresses.
    #[default]
    Public,
    /// Loopback and private ranges too: for targets that the operator configured as such.
    Private,
}

/// Why `address` may not be connected to; none if it may.
///
/// Link-local addresses, among them the clouds' metadata services, are out of reach always.
#[must_use]
pub fn forbidden(address: IpAddr, reach: Reach) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address, reach),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => forbidden_v4(inner, reach),
            None => forbidden_v6(address, reach),
        },
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 or 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let join = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(join(high, low))
        }
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

fn forbidden_v4(address: Ipv4Addr, reach: Reach) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    let always = match () {
        () if address.is_link_local() => Some("a link-local address, where metadata services live"),
        // Alibaba's and Azure's metadata services lie outside the link-local range.
        () if address.octets() == [100, 100, 100, 200]
            || address.octets() == [168, 63, 129, 16] =>
        {
            Some("a metadata service")
        }
        () if address.is_unspecified() || a == 0 => Some("an unspecified address"),
        () if address.is_multicast() || address.is_broadcast() => Some("a multicast address"),
        () => None,
    };
    always.or(match () {
        () if reach == Reach::Private => None,
        () if address.is_loopback() => Some("a loopback address"),
        () if address.is_private() => Some("a private address"),
        () if a == 100 && b & 0xc0 == 64 => Some("a shared address of carrier networks"),
        () if a == 192 && b == 0 && c == 0 => Some("a protocol-assignment address"),
        () if a == 198 && b & 0xfe == 18 => Some("a benchmarking address"),
        () if address.is_documentation() => Some("a documentation address"),
        () if a >= 240 => Some("a reserved address"),
        () => None,
    })
}

fn forbidden_v6(address: Ipv6Addr, reach: Reach) -> Option<&'static str> {
    let parts = address.segments();
    let always = match () {
        () if parts[0] & 0xffc0 == 0xfe80 => Some("a link-local address"),
        () if parts == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Some("a metadata service"),
        () if address.is_unspecified() => Some("an unspecified address"),
        () if address.is_multicast() => Some("a multicast address"),
        () => None,
    };
    always.or(match () {
        () if reach == Reach::Private => None,
        () if address.is_loopback() => Some("a loopback address"),
        () if parts[0] & 0xfe00 == 0xfc00 => Some("a private address"),
        () if parts[0] & 0xffc0 == 0xfec0 => Some("a site-local address"),
        () if parts[0] == 0x2001 && parts[1] == 0xdb8 => Some("a documentation address"),
        () => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (address, public, private) in [
            ("8.8.8.8", true, true),
            ("2606:4700::1111", true, true),
            ("127.0.0.1", false, true),
            ("127.9.9.9", false, true),
            ("10.0.0.1", false, true),
            ("172.16.0.1", false, true),
            ("172.32.0.1", true, true),
            ("192.168.1.1", false, true),
            ("100.64.0.1", false, true),
            ("100.128.0.1", true, true),
            ("::1", false, true),
            ("fd12::1", false, true),
            ("fd00:ec2::254", false, false),
            ("169.254.169.254", false, false),
            ("100.100.100.200", false, false),
            ("168.63.129.16", false, false),
            ("0.0.0.0", false, false),
            ("0.1.2.3", false, false),
            ("::", false, false),
            ("224.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("240.0.0.1", false, true),
            ("fe80::1", false, false),
            ("ff02::1", false, false),
            ("::ffff:127.0.0.1", false, true),
            ("::ffff:169.254.169.254", false, false),
            ("::127.0.0.1", false, true),
            ("64:ff9b::7f00:1", false, true),
            ("64:ff9b::808:808", true, true),
            ("2002:a9fe:a9fe::1", false, false),
        ] {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(forbidden(parsed, Reach::Public).is_none(), public, "{address}, public");
            assert_eq!(forbidden(parsed, Reach::Private).is_none(), private, "{address}, private");
        }
    }
}
