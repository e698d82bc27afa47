// Bytes from load balancers: no panic, bounded reading, and what is read can be written again.

use haproxy_lite::proxy_protocol::{LONGEST, Version, emit, looks_like_one, parse};

pub(crate) fn hold(bytes: &[u8]) {
    match parse(bytes) {
        Ok(Some(header)) => {
            assert!(looks_like_one(bytes));
            assert!(header.length <= bytes.len() && header.length <= LONGEST);
            // More bytes behind a header change nothing about it.
            assert_eq!(parse(&bytes[..header.length]), Ok(Some(header)));
            if let Some(source) = header.source {
                for version in [Version::V1, Version::V2] {
                    let again = emit(version, source, source);
                    let header = parse(&again)
                        .ok()
                        .flatten()
                        .expect("what is written can be read");
                    assert_eq!((header.source, header.length), (Some(source), again.len()));
                }
            }
        }
        Ok(None) => assert!(bytes.len() < LONGEST, "waits for more than a header has"),
        // What is refused stays refused.
        Err(reason) => assert_eq!(parse(&[bytes, b"\r\n"].concat()), Err(reason)),
    }
}
