//! The PROXY protocol: a header in front of a connection that names the client (HAProxy's `proxy-protocol.txt`).
//!
//! ```text
//! v1   "PROXY" SP ("TCP4" | "TCP6" | "UNKNOWN") SP source SP destination SP port SP port CR LF     at most 107 bytes
//!
//! v2    0               12   13   14        16
//!      +----------------+----+----+---------+-----------------------------------+
//!      | 12 fixed bytes |2|c |f|t | length  | addresses, then type-length-values |
//!      +----------------+----+----+---------+-----------------------------------+
//!                         c: 0 local, 1 proxy      f: 0 none, 1 IPv4, 2 IPv6      t: 1 stream
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which form is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The client, unless the sender speaks for itself (a health check).
    pub source: Option<SocketAddr>,
    /// Bytes of the header.
    pub length: usize,
}

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Not a header at all.
    #[error("it does not begin with a PROXY signature")]
    Signature,
    /// Version 1 without an end.
    #[error("the line is too long or does not end")]
    Line,
    /// Version 1 with a wrong family, address or port.
    #[error("a field of the line is wrong")]
    Field,
    /// Version 2 with another version or command.
    #[error("version or command is unknown")]
    Command,
    /// Version 2 with a length that is too short for its addresses, or above [`LONGEST`].
    #[error("the length does not fit the address family")]
    Length,
}

/// The longest header that is read: with many type-length-values, which are skipped.
pub const LONGEST: usize = 4096;

/// Whether `bytes` begin like a header, as far as they go.
pub fn looks_like_one(bytes: &[u8]) -> bool {
    let begins = |signature: &[u8]| {
        let seen = bytes.len().min(signature.len());
        seen > 0 && bytes[..seen] == signature[..seen]
    };
    begins(V1_SIGNATURE) || begins(V2_SIGNATURE)
}

/// Reads the header at the start of `bytes`; `None`: more bytes are needed.
///
/// # Errors
/// Why it can never become a header.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if !looks_like_one(bytes) {
        return if bytes.is_empty() {
            Ok(None)
        } else {
            Err(Malformed::Signature)
        };
    }
    if bytes[0] == V1_SIGNATURE[0] {
        parse_v1(bytes)
    } else {
        parse_v2(bytes)
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let window = &bytes[..bytes.len().min(V1_LONGEST)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_LONGEST {
            Ok(None)
        } else {
            Err(Malformed::Line)
        };
    };
    let line = std::str::from_utf8(&window[..end]).map_err(|_| Malformed::Field)?;
    let length = end + 2;
    let fields: Vec<&str> = line.split(' ').skip(1).collect();
    let source = match fields.as_slice() {
        ["UNKNOWN", ..] => None,
        ["TCP4", source, target, source_port, target_port] => {
            let _: Ipv4Addr = target.parse().map_err(|_| Malformed::Field)?;
            let source: Ipv4Addr = source.parse().map_err(|_| Malformed::Field)?;
            port(target_port)?;
            Some(SocketAddr::new(source.into(), port(source_port)?))
        }
        ["TCP6", source, target, source_port, target_port] => {
            let _: Ipv6Addr = target.parse().map_err(|_| Malformed::Field)?;
            let source: Ipv6Addr = source.parse().map_err(|_| Malformed::Field)?;
            port(target_port)?;
            Some(SocketAddr::new(
                IpAddr::V6(source).to_canonical(),
                port(source_port)?,
            ))
        }
        _ => return Err(Malformed::Field),
    };
    Ok(Some(Header { source, length }))
}

fn port(text: &str) -> Result<u16, Malformed> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    if plain && canonical {
        text.parse().map_err(|_| Malformed::Field)
    } else {
        Err(Malformed::Field)
    }
}

fn parse_v2(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some(fixed) = bytes.first_chunk::<V2_FIXED>() else {
        return Ok(None);
    };
    let (command, family) = (fixed[12], fixed[13]);
    if command >> 4 != 2 || command & 0x0f > 1 {
        return Err(Malformed::Command);
    }
    let rest = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let length = V2_FIXED + rest;
    if length > LONGEST {
        return Err(Malformed::Length);
    }
    let Some(body) = bytes.get(V2_FIXED..length) else {
        return Ok(None);
    };
    let proxied = command & 0x0f == 1;
    let source = match (proxied, family) {
        (true, 0x11) => {
            let b = body.first_chunk::<12>().ok_or(Malformed::Length)?;
            let address = Ipv4Addr::new(b[0], b[1], b[2], b[3]);
            Some(SocketAddr::new(
                address.into(),
                u16::from_be_bytes([b[8], b[9]]),
            ))
        }
        (true, 0x21) => {
            let b = body.first_chunk::<36>().ok_or(Malformed::Length)?;
            let address = b.first_chunk::<16>().copied().unwrap_or_default();
            let address = IpAddr::V6(Ipv6Addr::from(address)).to_canonical();
            Some(SocketAddr::new(address, u16::from_be_bytes([b[32], b[33]])))
        }
        // Local connections and families that are not ours carry nobody we could name.
        _ => None,
    };
    Ok(Some(Header { source, length }))
}

/// The header for a client at `source` that connected to `target`.
pub fn emit(version: Version, source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    let (source_ip, target_ip) = same_family(source.ip(), target.ip());
    match version {
        Version::V1 => {
            let family = if source_ip.is_ipv4() { "TCP4" } else { "TCP6" };
            let (source, target) = (source.port(), target.port());
            format!("PROXY {family} {source_ip} {target_ip} {source} {target}\r\n").into_bytes()
        }
        Version::V2 => {
            let mut header = V2_SIGNATURE.to_vec();
            header.push(0x21);
            let mut push = |family: u8, source_ip: &[u8], target_ip: &[u8]| {
                let length = u16::try_from(source_ip.len() * 2 + 4).unwrap_or(u16::MAX);
                header.push(family);
                header.extend(length.to_be_bytes());
                header.extend(source_ip);
                header.extend(target_ip);
                header.extend(source.port().to_be_bytes());
                header.extend(target.port().to_be_bytes());
            };
            match (source_ip, target_ip) {
                (IpAddr::V4(source), IpAddr::V4(target)) => {
                    push(0x11, &source.octets(), &target.octets());
                }
                (source, target) => push(0x21, &octets(source), &octets(target)),
            }
            header
        }
    }
}

/// The header of a connection that speaks for nobody: a health check.
pub fn emit_local(version: Version) -> Vec<u8> {
    match version {
        Version::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
        Version::V2 => [V2_SIGNATURE, &[0x20, 0, 0, 0]].concat(),
    }
}

fn same_family(source: IpAddr, target: IpAddr) -> (IpAddr, IpAddr) {
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V6(target)) => (source.to_ipv6_mapped().into(), target.into()),
        (IpAddr::V6(source), IpAddr::V4(target)) => (source.into(), target.to_ipv6_mapped().into()),
        same => same,
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V1_LONGEST: usize = 107;
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_can_be_read_and_truncation_asks_for_more() {
        for version in [Version::V1, Version::V2] {
            for (source, target) in [
                ("192.0.2.7:4711", "192.0.2.100:443"),
                ("[2001:db8::7]:4711", "[2001:db8::100]:443"),
                ("192.0.2.7:4711", "[2001:db8::100]:443"),
            ] {
                let source: SocketAddr = source.parse().unwrap();
                let header = emit(version, source, target.parse().unwrap());
                for cut in 0..header.len() {
                    assert_eq!(parse(&header[..cut]), Ok(None), "{version:?} cut at {cut}");
                }
                let with_data = [header.as_slice(), b"\x16\x03\x01"].concat();
                let parsed = Header {
                    source: Some(source),
                    length: header.len(),
                };
                assert_eq!(parse(&with_data), Ok(Some(parsed)), "{version:?}");
            }
        }
    }

    #[test]
    fn local_headers_name_nobody() {
        for version in [Version::V1, Version::V2] {
            let header = emit_local(version);
            let parsed = Header {
                source: None,
                length: header.len(),
            };
            assert_eq!(parse(&header), Ok(Some(parsed)));
        }
    }

    #[test]
    fn type_length_values_are_skipped() {
        let mut header = emit(
            Version::V2,
            "192.0.2.7:9".parse().unwrap(),
            "192.0.2.1:1".parse().unwrap(),
        );
        header[15] += 5;
        header.extend([4, 0, 2, 9, 9]);
        let parsed = parse(&header).unwrap().unwrap();
        assert_eq!((parsed.length, parsed.source.unwrap().port()), (33, 9));
    }

    #[test]
    fn malformed_headers_are_refused() {
        let v2 = |command: u8, family: u8, length: u16| {
            [
                V2_SIGNATURE,
                &[command, family],
                &length.to_be_bytes(),
                &[0; 40],
            ]
            .concat()
        };
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 120]].concat();
        for (bytes, reason) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), Malformed::Signature),
            (b"\x16\x03\x01".to_vec(), Malformed::Signature),
            (long, Malformed::Line),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n".to_vec(),
                Malformed::Field,
            ),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n".to_vec(),
                Malformed::Field,
            ),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n".to_vec(),
                Malformed::Field,
            ),
            (
                b"PROXY TCP4 ::1 192.0.2.2 1 2\r\n".to_vec(),
                Malformed::Field,
            ),
            (
                b"PROXY TCP6 192.0.2.1 ::1 1 2\r\n".to_vec(),
                Malformed::Field,
            ),
            (
                b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
                Malformed::Field,
            ),
            (v2(0x11, 0x11, 12), Malformed::Command),
            (v2(0x22, 0x11, 12), Malformed::Command),
            (v2(0x21, 0x11, 11), Malformed::Length),
            (v2(0x21, 0x21, 35), Malformed::Length),
            (v2(0x21, 0x11, u16::MAX), Malformed::Length),
        ] {
            assert_eq!(
                parse(&bytes),
                Err(reason),
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    #[test]
    fn a_mapped_address_comes_out_as_ipv4() {
        let line = b"PROXY TCP6 ::ffff:192.0.2.7 ::1 5 6\r\n";
        let source = parse(line).unwrap().unwrap().source.unwrap();
        assert_eq!(source, "192.0.2.7:5".parse().unwrap());
    }
}
