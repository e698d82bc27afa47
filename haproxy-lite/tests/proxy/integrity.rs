//! Every byte arrives, in order, whatever the sizes, pauses and ends.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use crate::kit::{Config, Noise, Proxy, Server, connect};

#[test]
fn h23_one_byte_at_a_time() {
    let proxy_and_server = start();
    let mut stream = connect(proxy_and_server.0.front());
    stream.set_nodelay(true).unwrap();
    let mut back = [0];
    for byte in 0..=255_u8 {
        stream.write_all(&[byte]).unwrap();
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back[0], byte);
    }
}

#[test]
fn h23_bulk_in_both_directions_at_once() {
    let proxy_and_server = start();
    for megabytes in [1, 32] {
        round_trip(connect(proxy_and_server.0.front()), megabytes << 20);
    }
}

/// Sends noise, checks that the same noise comes back, then the end.
fn round_trip(mut stream: TcpStream, length: usize) {
    let mut sender = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let mut noise = Noise(7);
        let mut sent = 0;
        while sent < length {
            let chunk = noise.bytes((length - sent).min(256 * 1024 - sent % 1000));
            sender.write_all(chunk).unwrap();
            sent += chunk.len();
        }
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut noise = Noise(7);
    let mut buffer = vec![0; 1 << 20];
    let mut received = 0;
    loop {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        assert!(
            buffer[..read] == *noise.bytes(read),
            "different after {received} bytes"
        );
        received += read;
    }
    assert_eq!(received, length);
    writer.join().unwrap();
}

fn start() -> (Proxy, Server) {
    let server = Server::new(|mut stream| {
        let mut buffer = vec![0; 100_000];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
    });
    (Proxy::start(Config::new([("a", server.address())])), server)
}
