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
    loop {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..ready] {
            let token = usize::try_from(event.data()).map_err(Error::other)?;
            if let Some(listener) = token.checked_sub(LISTENERS).and_then(|n| listeners.get(n)) {
                accept(listener, &epoll, &mut clients)?;
            } else if let Some(client) = clients.get_mut(&token)
                && !client.turn(event.events(), &epoll, &payload)
            {
                clients.remove(&token);
            }
        }
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

    fn answer(&mut self, epoll: &Epoll, payload: &[u8]) -> io::Result<()> {
        while self.left > 0 {
            let most = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(payload.len());
            match net::write(self.stream.as_fd(), &payload[..most])? {
                0 => return self.wait_for(EpollFlags::EPOLLOUT, true, epoll),
                sent => self.left -= sent as u64,
            }
        }
        self.wait_for(EpollFlags::EPOLLIN, false, epoll)
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
