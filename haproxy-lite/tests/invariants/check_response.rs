// Any bytes as the answer of a server to a check: no panic, a bounded body, and success only for a 2xx status line.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

pub(crate) fn hold(answer: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = listener.local_addr().expect("it is bound");
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            if let Ok((mut stream, _)) = listener.accept() {
                // A client that has heard enough hangs up.
                let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer);
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let timeout = Duration::from_millis(500);
        match runtime.block_on(daemon::probe::get(address, None, "/readyz", timeout)) {
            Ok(response) => {
                assert!((200..300).contains(&response.status));
                assert!(response.body.len() <= 64 * 1024);
                // Interim answers (1xx) may come before, and empty lines: hyper passes over both.
                let empty = |byte: &&u8| matches!(**byte, b'\r' | b'\n');
                let begin = answer.iter().take_while(empty).count();
                assert!(
                    answer[begin..].starts_with(b"HTTP/1."),
                    "success without a status line"
                );
            }
            Err(failure) => assert!(!failure.kind().is_empty() && !failure.to_string().is_empty()),
        }
        // The scope waits for what the thread does, and not for its end: what it has then looks leaked.
        server.join().expect("the server does not panic");
    });
}
