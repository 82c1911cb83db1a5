//! Which network addresses may be dialled (security reference section 7, step 6).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 ranges that are never dialled without an operator's exception.
const BLOCKED_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Metadata services of cloud hosts: no exception opens these.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// The only IPv6 space that is dialled, and what is cut out of it.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const BLOCKED_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// A range of addresses such as `10.0.0.0/8` or `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `ADDRESS/PREFIX`, or a single address.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "a range of addresses is written like `10.0.0.0/8` or `fd00::/8`";
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| RULE)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|n| *n <= bits).ok_or(RULE)?,
            Some(_) => return Err(RULE),
        };
        let cidr = Self { address, prefix };
        if cidr.masked(address) != cidr.raw(address) {
            return Err("the address has bits set behind the prefix");
        }
        Ok(cidr)
    }

    /// The range that holds this one address.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Self { address, prefix }
    }

    /// Whether `address` lies in the range. An IPv4 address in IPv6 form counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == self.masked(self.address)
    }

    fn raw(&self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    fn masked(&self, address: IpAddr) -> u128 {
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        self.raw(address) & mask
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn v4_in(address: Ipv4Addr, base: Ipv4Addr, bits: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    address.to_bits() & mask == base.to_bits() & mask
}

fn v6_in(address: Ipv6Addr, base: Ipv6Addr, bits: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    address.to_bits() & mask == base.to_bits() & mask
}

/// Why an address is not dialled; shown to operators only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// A cloud metadata service; never opened.
    Metadata,
    /// Private, local, reserved or embedding space; an operator may open it for one server.
    NotPublic,
    /// The gateway itself: a call that comes back would never end. Never opened.
    OwnListener,
}

/// Whether `address` may be dialled, given the exceptions an operator wrote for this server.
///
/// # Errors
/// [`Blocked`] with the class of the address.
pub fn check(address: IpAddr, exceptions: &[Cidr]) -> Result<(), Blocked> {
    // An IPv4 address in IPv6 form leads to the same machine.
    if METADATA.contains(&address.to_canonical()) {
        return Err(Blocked::Metadata);
    }
    // Who opens a translating block opens the way, not every machine behind it.
    for inner in embedded(address) {
        if METADATA.contains(&IpAddr::V4(inner)) {
            return Err(Blocked::Metadata);
        }
        let opened = exceptions.iter().any(|block| block.address.is_ipv4() && block.contains(IpAddr::V4(inner)));
        if !is_public(IpAddr::V4(inner)) && !opened {
            return Err(Blocked::NotPublic);
        }
    }
    if is_public(address) || exceptions.iter().any(|block| block.contains(address)) { Ok(()) } else { Err(Blocked::NotPublic) }
}

/// The IPv4 addresses that an IPv6 address carries for a translator or tunnel: IPv4-compatible (RFC 4291), NAT64 (RFC 6052, RFC 8215),
/// 6to4 (RFC 3056), Teredo (RFC 4380; server, and client with its bits turned over).
fn embedded(address: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return [None, None].into_iter().flatten() };
    let bits = v6.to_bits();
    let at = |shift: u32| Ipv4Addr::from_bits(u32::try_from((bits >> shift) & u128::from(u32::MAX)).unwrap_or_default());
    let begins = |base: [u16; 8], prefix: u8| v6_in(v6, Ipv6Addr::from(base), prefix);
    let found =
        if begins([0; 8], 96) && bits > 1 || begins([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96) || begins([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48) {
            [Some(at(0)), None]
        } else if begins([0x2002, 0, 0, 0, 0, 0, 0, 0], 16) {
            [Some(at(80)), None]
        } else if begins([0x2001, 0, 0, 0, 0, 0, 0, 0], 32) {
            [Some(at(64)), Some(Ipv4Addr::from_bits(!at(0).to_bits()))]
        } else {
            [None, None]
        };
    found.into_iter().flatten()
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !BLOCKED_V4.iter().any(|(base, bits)| v4_in(v4, *base, *bits)),
        IpAddr::V6(v6) => {
            let (base, bits) = GLOBAL_V6;
            v6_in(v6, base, bits) && !BLOCKED_V6.iter().any(|(base, bits)| v6_in(v6, *base, *bits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str, exceptions: &[&str]) -> Result<(), Blocked> {
        let exceptions: Vec<Cidr> = exceptions.iter().map(|e| Cidr::parse(e).unwrap()).collect();
        check(text.parse().unwrap(), &exceptions)
    }

    #[test]
    fn only_public_addresses_pass() {
        for good in ["1.1.1.1", "8.8.8.8", "198.20.0.1", "2606:4700::1111", "2a00::1"] {
            assert_eq!(verdict(good, &[]), Ok(()), "{good}");
        }
        let bad = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:0808:0808::1",
            "3fff::1",
            "5f00::1",
        ];
        for bad in bad {
            assert_eq!(verdict(bad, &[]), Err(Blocked::NotPublic), "{bad}");
        }
    }

    #[test]
    fn exceptions_open_private_space_but_never_metadata() {
        assert_eq!(verdict("10.1.2.3", &["10.1.0.0/16"]), Ok(()));
        assert_eq!(verdict("10.2.2.3", &["10.1.0.0/16"]), Err(Blocked::NotPublic));
        assert_eq!(verdict("::1", &["::1"]), Ok(()));
        assert_eq!(verdict("169.254.169.254", &["0.0.0.0/0"]), Err(Blocked::Metadata));
        assert_eq!(verdict("fd00:ec2::254", &["::/0"]), Err(Blocked::Metadata));
        assert_eq!(verdict("fd00:ec2::23", &["fd00::/8"]), Err(Blocked::Metadata));
        assert_eq!(verdict("::ffff:169.254.169.254", &["169.254.0.0/16"]), Err(Blocked::Metadata));
    }

    #[test]
    fn an_opened_translator_opens_no_private_machine_behind_it() {
        let everything = ["::/0"];
        for metadata in [
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "2001:0:808:808::5601:5601",
        ] {
            assert_eq!(verdict(metadata, &everything), Err(Blocked::Metadata), "{metadata}");
        }
        for private in ["64:ff9b::10.0.0.1", "::127.0.0.1", "2002:7f00:1::1", "2001:0:a00:1::f5ff:fffe"] {
            assert_eq!(verdict(private, &everything), Err(Blocked::NotPublic), "{private}");
        }
        assert_eq!(verdict("64:ff9b::8.8.8.8", &["64:ff9b::/96"]), Ok(()));
        assert_eq!(verdict("64:ff9b::10.0.0.1", &["64:ff9b::/96", "10.0.0.0/8"]), Ok(()));
        assert_eq!(verdict("::1", &["::1/128"]), Ok(()));
        assert_eq!(verdict("fd00::1", &everything), Ok(()));
    }

    #[test]
    fn ranges() {
        let cidr = |text: &str| Cidr::parse(text).unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(cidr("10.0.0.0/8").contains(ip("10.255.0.1")) && !cidr("10.0.0.0/8").contains(ip("11.0.0.1")));
        assert!(cidr("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")), "IPv4 in IPv6 form");
        assert!(cidr("192.168.1.7").contains(ip("192.168.1.7")) && !cidr("192.168.1.7").contains(ip("192.168.1.8")));
        assert!(cidr("0.0.0.0/0").contains(ip("8.8.8.8")) && !cidr("0.0.0.0/0").contains(ip("::1")));
        assert!(cidr("fd00::/8").contains(ip("fd12::1")) && !cidr("fd00::/8").contains(ip("fe80::1")));
        assert!(cidr("::/0").contains(ip("2001:db8::1")) && !cidr("::/0").contains(ip("1.2.3.4")));
        assert_eq!(cidr("10.0.0.0/8").to_string(), "10.0.0.0/8");
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.1/8", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "localhost"] {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }
}
