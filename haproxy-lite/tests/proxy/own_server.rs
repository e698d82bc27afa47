//! The API server on the proxy's own node is gone, the others are well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use crate::failures::handshake;
use crate::kit::{Authority, Config, Mode, PATIENCE, Proxy, TlsServer, eventually};

#[test]
fn h30_without_the_own_server_the_address_stays_and_no_client_notices() {
    let ca = Authority::new();
    let servers: Vec<TlsServer> = (0..3).map(|_| TlsServer::new(&ca)).collect();
    let names = ["own", "b", "c"];
    let config = Config::new(
        names
            .into_iter()
            .zip(servers.iter().map(TlsServer::address)),
    )
    .server_keys("own", "preferred: true");
    let proxy = Proxy::start(config);
    for name in names {
        proxy.wait_for_state(name, "up");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, front, tls) = (Arc::clone(&stop), proxy.front(), ca.client());
            std::thread::spawn(move || {
                let mut served = 0_u32;
                while !stop.load(SeqCst) {
                    handshake(front, Arc::clone(&tls), PATIENCE)?;
                    served += 1;
                    std::thread::sleep(Duration::from_millis(3));
                }
                Ok::<_, std::io::Error>(served)
            })
        })
        .collect();
    let given = |name: &str| proxy.server(name)["total"].as_u64().unwrap();
    eventually("the own server is used", || given("own") > 20);
    assert_eq!((given("b"), given("c")), (0, 0), "it is preferred");
    servers[0].set(Mode::Refuse);
    // What the virtual router asks: the address stays here.
    let stays = || {
        assert_eq!(proxy.page("/livez").0, 200);
        assert_eq!(proxy.page("/readyz").0, 200);
    };
    stays();
    proxy.wait_for_state("own", "down");
    stays();
    eventually("the others are used", || given("b") > 20 && given("c") > 20);
    stays();
    stop.store(true, SeqCst);
    for client in clients {
        let served = client.join().unwrap();
        assert!(served.is_ok_and(|served| served > 10), "a client noticed");
    }
}
