//! Whether a client's first bytes may be sent to a second server.
//!
//! A TLS `ClientHello` alone (RFC 8446 §4.1.2) changes nothing at a server: until one byte came back, the same bytes
//! can go to another server without anybody noticing. Anything else (plain HTTP, early data behind the hello)
//! could be acted on twice and never is repeated.

/// The largest hello that is kept for repeating, in bytes.
pub(crate) const LIMIT: usize = 16 * 1024;

/// What the first bytes of a client are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstBytes {
    /// One whole `ClientHello` and nothing behind it.
    LoneClientHello,
    /// The beginning of one.
    Partial,
    /// Something that must not be repeated.
    Other,
}

/// Classifies the bytes that a client has sent so far.
pub(crate) fn classify(bytes: &[u8]) -> FirstBytes {
    let [HANDSHAKE, 3, minor, high, low, body @ ..] = bytes else {
        return match bytes {
            [] | [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, _] | [HANDSHAKE, 3, _, _] => {
                FirstBytes::Partial
            }
            _ => FirstBytes::Other,
        };
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let kind_fits = body.first().is_none_or(|kind| *kind == CLIENT_HELLO);
    if *minor > 4 || length < 4 || length + RECORD_HEADER > LIMIT || !kind_fits {
        return FirstBytes::Other;
    }
    if body.len() < length {
        return FirstBytes::Partial;
    }
    let handshake = usize::try_from(u32::from_be_bytes([0, body[1], body[2], body[3]]));
    if body.len() == length && handshake == Ok(length - 4) {
        FirstBytes::LoneClientHello
    } else {
        FirstBytes::Other
    }
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_known_only_when_whole_and_alone() {
        let hello = hello(200);
        for cut in 0..hello.len() {
            assert_eq!(classify(&hello[..cut]), FirstBytes::Partial, "cut at {cut}");
        }
        assert_eq!(classify(&hello), FirstBytes::LoneClientHello);
        let early_data = [hello.as_slice(), &[23, 3, 3, 0, 1, 0]].concat();
        assert_eq!(classify(&early_data), FirstBytes::Other);
    }

    #[test]
    fn other_protocols_are_never_repeated() {
        for bytes in [
            b"GET /readyz HTTP/1.1\r\n".as_slice(),
            b"SSH-2.0-x",
            &[22, 2, 0, 0, 9],
            &[22, 3, 9, 0, 9],
            &[22, 3, 1, 0, 9, 2],
            &[22, 3, 1, 0xff, 0xff, 1],
            &[22, 3, 1, 0, 3, 1, 0, 0],
            &[23, 3, 3, 0, 9],
        ] {
            assert_eq!(classify(bytes), FirstBytes::Other, "{bytes:?}");
        }
    }

    #[test]
    fn a_second_handshake_message_in_the_record_is_not_repeated() {
        let mut two = hello(40);
        two[8] = 20;
        assert_eq!(classify(&two), FirstBytes::Other);
    }

    fn hello(body: u8) -> Vec<u8> {
        let mut bytes = vec![22, 3, 1, 0, body.wrapping_add(4), 1, 0, 0, body];
        bytes.extend(std::iter::repeat_n(7, usize::from(body)));
        bytes
    }
}
