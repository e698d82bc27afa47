//! What the fuzz targets check, on inputs that are kept: known shapes, cut everywhere and with every byte changed.

#[path = "invariants/check_response.rs"]
mod check_response;
#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "invariants/proxy_config.rs"]
mod proxy_config;
#[path = "invariants/proxy_header.rs"]
mod proxy_header;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\x12\x34\x01\xbb";

#[test]
fn proxy_headers_cut_and_changed() {
    for header in [
        V2,
        b"PROXY TCP4 192.0.2.7 192.0.2.8 4660 443\r\n",
        b"PROXY TCP6 2001:db8::7 2001:db8::8 4660 443\r\n",
        b"PROXY UNKNOWN whatever\r\n",
    ] {
        for cut in 0..=header.len() {
            proxy_header::hold(&header[..cut]);
        }
        for position in 0..header.len() {
            for byte in 0..=255 {
                let mut changed = header.to_vec();
                changed[position] = byte;
                proxy_header::hold(&changed);
            }
        }
    }
}

#[test]
fn configurations_cut_everywhere() {
    let text = include_str!("../example.yaml");
    for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
        proxy_config::hold(&text[..cut]);
    }
    assert!(haproxy_lite::check(text, "proxy.yaml").is_ok());
}

/// What a fuzzer once found stays found.
#[test]
fn the_corpora_hold() {
    corpus::replay("proxy_config", |bytes| {
        if let Ok(text) = str::from_utf8(bytes) {
            proxy_config::hold(text);
        }
    });
    corpus::replay("proxy_header", proxy_header::hold);
    corpus::replay("check_response", check_response::hold);
}

#[test]
fn answers_of_servers() {
    for answer in [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".as_slice(),
        b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"\x15\x03\x03\0\x02\x02\x28",
        b"",
    ] {
        for cut in (0..=answer.len()).rev().step_by(7) {
            check_response::hold(&answer[..cut]);
        }
    }
}
