//! The back end.

use std::collections::BTreeMap;
use std::io::{self, Error};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};

use crate::net::{self, ANSWER, REQUEST, WATCH, WATCHED, wanted};

struct Client {
    stream: TcpStream,
    request: [u8; REQUEST],
    have: usize,
    /// Bytes of the answer that are left.
    left: u64,
    waits_for_room: bool,
}

/// Serves until killed.
pub(crate) fn serve(listen: &[String]) -> io::Result<()> {
    let epoll = net::poll()?;
    let mut listeners = Vec::new();
    for place in listen {
        let (netns, address) = place
            .split_once('@')
            .ok_or_else(|| Error::other("NETNS@IP:PORT"))?;
        net::enter(netns)?;
        let address = address.parse().map_err(Error::other)?;
        let listener = net::listen(address)?;
        let token = LISTENERS + listeners.len();
        net::watch(&epoll, &listener, EpollFlags::EPOLLIN, token)?;
        listeners.push(listener);
    }
    println!("ready");
    let payload = vec![b'a'; 1 << 18];
    let mut clients: BTreeMap<usize, Client> = BTreeMap::new();
    let mut events = [EpollEvent::empty(); 512];
    let mut last = 0;
    loop {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE)?;
        let mut bulk = Vec::new();
        for event in &events[..ready] {
            let token = usize::try_from(event.data()).map_err(Error::other)?;
            if let Some(listener) = token.checked_sub(LISTENERS).and_then(|n| listeners.get(n)) {
                accept(listener, &epoll, &mut clients)?;
            } else if clients.get(&token).is_some_and(Client::is_bulk) {
                bulk.push((token, event.events()));
            } else {
                turn(&mut clients, token, event.events(), &epoll, &payload);
            }
        }
        // One of the endless answers at a time, in turn, so that small ones need not wait for all of them.
        bulk.sort_unstable_by_key(|(token, _)| (*token <= last, *token));
        if let Some((token, flags)) = bulk.first() {
            last = *token;
            turn(&mut clients, *token, *flags, &epoll, &payload);
        }
    }
}

fn turn(
    clients: &mut BTreeMap<usize, Client>,
    token: usize,
    flags: EpollFlags,
    epoll: &Epoll,
    payload: &[u8],
) {
    if let Some(client) = clients.get_mut(&token)
        && !client.turn(flags, epoll, payload)
    {
        clients.remove(&token);
    }
}

fn accept(
    listener: &TcpListener,
    epoll: &Epoll,
    clients: &mut BTreeMap<usize, Client>,
) -> io::Result<()> {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true)?;
        let token = usize::try_from(stream.as_raw_fd()).map_err(Error::other)?;
        net::watch(epoll, &stream, EpollFlags::EPOLLIN, token)?;
        let client = Client {
            stream,
            request: [0; REQUEST],
            have: 0,
            left: 0,
            waits_for_room: false,
        };
        clients.insert(token, client);
    }
    Ok(())
}

impl Client {
    fn is_bulk(&self) -> bool {
        self.left > 0
    }

    /// False: it is over.
    fn turn(&mut self, events: EpollFlags, epoll: &Epoll, payload: &[u8]) -> bool {
        if self.left == 0 {
            match net::receive(self.stream.as_fd(), &mut self.request[self.have..]) {
                Ok(None) => return true,
                Ok(Some(0)) | Err(_) => return false,
                Ok(Some(read)) => self.have += read,
            }
            if self.have == REQUEST {
                self.have = 0;
                self.left = match wanted(&self.request) {
                    (ANSWER, bytes) => bytes,
                    (WATCH, _) => WATCHED as u64,
                    _ => return false,
                };
            }
        } else if events.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            return false;
        }
        self.answer(epoll, payload).is_ok()
    }

    /// A payload at most: whoever wants endless answers shares the thread with those who want small ones.
    fn answer(&mut self, epoll: &Epoll, payload: &[u8]) -> io::Result<()> {
        if self.left > 0 {
            let most = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(payload.len());
            self.left -= net::write(self.stream.as_fd(), &payload[..most])? as u64;
        }
        if self.left > 0 {
            self.wait_for(EpollFlags::EPOLLOUT, true, epoll)
        } else {
            self.wait_for(EpollFlags::EPOLLIN, false, epoll)
        }
    }

    fn wait_for(&mut self, flags: EpollFlags, room: bool, epoll: &Epoll) -> io::Result<()> {
        if self.waits_for_room != room {
            self.waits_for_room = room;
            let token = u64::try_from(self.stream.as_raw_fd()).map_err(Error::other)?;
            epoll.modify(&self.stream, &mut EpollEvent::new(flags, token))?;
        }
        Ok(())
    }
}

/// Above every descriptor.
const LISTENERS: usize = 1 << 32;
