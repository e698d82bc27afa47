//! Reading and writing numbers, texts and addresses; reading never panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is left of received bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn octets(&mut self) -> Option<[u8; 6]> {
        self.array()
    }

    /// A text behind its length in one byte.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.u8()?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    /// An address; its family is `v6` or not.
    pub(super) fn address(&mut self, v6: bool) -> Option<IpAddr> {
        if v6 {
            self.array::<16>()
                .map(|octets| Ipv6Addr::from(octets).into())
        } else {
            self.array::<4>()
                .map(|octets| Ipv4Addr::from(octets).into())
        }
    }
}

/// Appends a text behind its length in one byte; what is longer than 255 bytes is cut off.
pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(usize::from(u8::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    bytes.push(u8::try_from(end).unwrap_or(u8::MAX));
    bytes.extend_from_slice(&text.as_bytes()[..end]);
}

/// Appends an address without its family.
pub(super) fn put_address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => bytes.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => bytes.extend_from_slice(&v6.octets()),
    }
}
