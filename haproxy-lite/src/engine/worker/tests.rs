//! A thread of the data path, turned by hand: its sockets are real, its clock is the test's.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::*;
use crate::config::Plan;
use crate::core::limits::Sources;
use crate::engine::bind;
use crate::engine::table::{Frontend, ServerFacts, Totals};

/// A thread, its client and its server.
struct Run {
    worker: Worker,
    events: Events,
    front: SocketAddr,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Run {
    /// With the default timeouts, and one session.
    #[expect(
        clippy::disallowed_methods,
        reason = "test: any starting point will do"
    )]
    fn new() -> Self {
        let plan = Plan::from_text(include_str!("../../../example.yaml"), "example.yaml").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Arc::new(Server::new(ServerFacts {
            name: "a".to_owned(),
            address: listener.local_addr().unwrap(),
        }));
        server.set_usable(true);
        let (front, socket) = front();
        let frontend = Frontend::new("api".to_owned(), front, vec![], vec![], Arc::default());
        let table = Arc::new(Table {
            servers: vec![server],
            frontends: vec![Arc::new(frontend)],
            settings: plan.settings,
        });
        let shared = Shared {
            totals: Totals::default(),
            sources: Mutex::new(Sources::default()),
            on_suspect: Box::new(|| {}),
            on_end: Box::new(|_| true),
        };
        let mailboxes: Arc<[Mailbox]> = [Mailbox::new().unwrap()].into();
        let mut worker = Worker::new(
            0,
            mailboxes,
            Arc::clone(&table),
            Arc::new(shared),
            Instant::now(),
        )
        .unwrap();
        worker.adopt(table, vec![("api".to_owned(), socket)]);
        let mut events = Events::with_room_for(16);
        let (client, server) = session(&mut worker, &mut events, front, &listener);
        Self {
            worker,
            events,
            front,
            listener,
            client,
            server,
        }
    }

    /// Another client and its server.
    fn another(&mut self) -> (TcpStream, TcpStream) {
        session(
            &mut self.worker,
            &mut self.events,
            self.front,
            &self.listener,
        )
    }

    fn work(&mut self) {
        self.worker.work(&mut self.events, 50).unwrap();
    }

    /// Nothing happens for so long.
    fn pass(&mut self, minutes: u64) {
        self.worker.epoch -= Duration::from_secs(minutes * 60);
        self.work();
    }

    /// A byte in each direction.
    fn talk(&mut self) {
        let mut byte = [0];
        self.client.write_all(b"a").unwrap();
        self.work();
        self.server.read_exact(&mut byte).unwrap();
        self.server.write_all(b"b").unwrap();
        self.work();
        self.client.read_exact(&mut byte).unwrap();
    }
}

fn session(
    worker: &mut Worker,
    events: &mut Events,
    front: SocketAddr,
    listener: &TcpListener,
) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(front).unwrap();
    // Accepts, dials, connects.
    for _ in 0..3 {
        worker.work(events, 100).unwrap();
    }
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
    }
    (client, server)
}

fn front() -> (SocketAddr, OwnedFd) {
    let socket = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let listener = TcpListener::from(socket);
    (listener.local_addr().unwrap(), listener.into())
}

#[test]
fn h07_a_silent_tunnel_is_alive_after_3_h_59_min_and_over_after_4_h_1_min() {
    let mut run = Run::new();
    run.talk();
    run.pass(3 * 60 + 59);
    run.talk();
    assert_eq!(run.worker.sessions.keys_where(|_| true).len(), 1);
    run.pass(4 * 60 + 1);
    assert!(run.worker.sessions.is_empty());
    for mut side in [&run.client, &run.server] {
        let end = side.read(&mut [0]).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    }
    let totals = &run.worker.shared.totals;
    assert_eq!(totals.ended(Termination::Idle), 1);
}

#[test]
fn h07_a_byte_in_one_direction_keeps_a_tunnel() {
    let mut run = Run::new();
    for _ in 0..3 {
        run.pass(3 * 60);
        run.server.write_all(b"b").unwrap();
        run.work();
        run.client.read_exact(&mut [0]).unwrap();
    }
    assert_eq!(run.worker.sessions.keys_where(|_| true).len(), 1);
}

#[test]
fn who_has_little_to_move_comes_before_bulk() {
    let mut run = Run::new();
    let (mut client, mut server) = run.another();
    // The first session downloads until its turns are long ones.
    run.client.set_nonblocking(true).unwrap();
    run.server.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let is_bulk = |session: &Session| session.down.is_bulk();
    while run.worker.sessions.keys_where(is_bulk).is_empty() {
        // Without room or bytes it goes on.
        let _ = run.server.write(&buffer);
        run.work();
        let _ = run.client.read(&mut buffer);
    }
    while run.server.write(&buffer).is_ok() {
        run.work();
    }
    while run.client.read(&mut buffer).is_ok() {}
    let moved = run.worker.gear.moved;
    client.write_all(b"a").unwrap();
    run.worker.epoll.wait(&mut run.events, 1000).unwrap();
    let keys: Vec<_> = (0..run.events.len()).map(|n| run.events.get(n)).collect();
    assert!(keys.len() > 1, "bulk has something to do as well");
    for (bits, readiness) in keys {
        run.worker.dispatch(Token::from_bits(bits), readiness);
    }
    server.read_exact(&mut [0]).unwrap();
    assert_eq!(run.worker.gear.moved - moved, 1);
    run.worker.give_turns();
    assert!(run.worker.gear.moved - moved > 1);
}

#[test]
fn a_round_of_bulk_is_short() {
    let mut run = Run::new();
    let mut others: Vec<_> = (0..16).map(|_| run.another()).collect();
    // More than a round, in pieces that are shorter than one.
    for (_, server) in &mut others {
        server.write_all(&[0; 48 * 1024]).unwrap();
    }
    for key in run.worker.sessions.keys_where(|_| true) {
        let session = run.worker.sessions.get_mut(key).unwrap();
        session.down.source_ready(false);
        session.marks.queued = true;
        run.worker.ready.push_back(key);
    }
    run.worker.give_turns();
    let first = run.worker.gear.moved;
    assert!((ROUND..ROUND + 64 * 1024).contains(&first), "{first}");
    run.worker.give_turns();
    assert!(run.worker.gear.moved > first);
}

#[test]
fn a_hello_of_which_a_part_was_held_is_remembered_whole() {
    let mut run = Run::new();
    let hello = [22, 3, 1, 0, 8, 1, 0, 0, 4, 7, 7, 7, 7];
    let key = run.worker.sessions.keys_where(|_| true)[0];
    let session = run.worker.sessions.get_mut(key).unwrap();
    // As with a second server that could be asked.
    session.marks.repeatable = true;
    session.up.put_first(hello[..6].to_vec());
    run.client.write_all(&hello[6..]).unwrap();
    let moved = |session: &Session| session.up.moved() == 13;
    while run.worker.sessions.keys_where(moved).is_empty() {
        run.work();
    }
    let session = run.worker.sessions.get_mut(key).unwrap();
    let opening = session.opening.as_ref().unwrap();
    assert_eq!((&*opening.hello, opening.hello_whole), (&hello[..], true));
    let mut arrived = hello;
    run.server.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, hello);
}
