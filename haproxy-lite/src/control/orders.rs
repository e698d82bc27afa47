//! What operators and a successor ask the control thread for.

use super::driver::{Control, clock};
use super::hand_over::{Item, Parcel};
use super::operator::Order;
use crate::core::termination::Termination;

impl Control {
    /// An operator, or a successor, wants something.
    pub(super) fn handle_order(&mut self, order: Order) {
        match order {
            Order::Wish {
                server,
                wish,
                reply,
            } => {
                let known = self.servers.named(&server).map(|live| live.identity);
                if let Some(identity) = known {
                    tracing::info!(server, ?wish, "an operator has decided");
                    let actions = self.fleet.handle_wish(clock(), identity, wish);
                    self.act_on(actions);
                    self.publish(clock());
                }
                // Who asked may have gone.
                let _ = reply.send(known.is_some());
            }
            Order::Kill { server, reply } => {
                let live = server.as_ref().map(|name| self.servers.named(name));
                let found = !matches!(live, Some(None));
                if found {
                    tracing::info!(server, "an operator ends sessions");
                    self.engine
                        .close_sessions(live.flatten(), Termination::Killed);
                }
                let _ = reply.send(found);
            }
            Order::Sockets { reply } => {
                let _ = reply.send(self.parcels());
            }
            Order::TookOver => {
                tracing::info!(sessions = self.engine.sessions(), "a successor took over");
                self.engine.leave_listeners();
                self.relieved = true;
                self.admin.end.cancel();
                if let Some(socket) = self.socket.take() {
                    socket.leave_file();
                }
            }
        }
    }

    /// Every listening socket, for a successor.
    fn parcels(&self) -> Vec<Parcel> {
        let mut parcels = self.listeners.parcels();
        if let Some(Ok(listener)) = self.admin.listener.as_ref().map(|l| l.try_clone()) {
            parcels.push((
                Item::Admin {
                    address: self.plan.admin,
                },
                vec![listener.into()],
            ));
        }
        parcels
    }
}
