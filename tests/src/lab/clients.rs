//! Clients at places of a lab.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use super::Lab;
use crate::prober::{Plan, Prober, Seat, Stream};
use crate::roster::Place;

impl Lab {
    /// A prober at a place, with the machines' share of the processors: it is late only when they
    /// are.
    pub fn prober(&self, place: impl Into<Place>, plan: Plan) -> Result<Prober> {
        Prober::start(Some(&self.seat(place)), plan)
    }

    /// A stream of datagrams from a place, with the same share.
    pub fn stream(
        &self,
        place: impl Into<Place>,
        target: SocketAddr,
        every: Duration,
    ) -> Result<Stream> {
        Stream::start(Some(&self.seat(place)), target, every)
    }

    fn seat(&self, place: impl Into<Place>) -> Seat {
        Seat {
            namespace: self.namespace_file(place),
            tasks: self.host.tasks_beside_machines(&self.prefix),
        }
    }
}
