//! Everything the controller follows.

use k8s_openapi::api::{
    core::v1::{Namespace, Node, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client};
use tokio::sync::mpsc::{self, Receiver};
use tokio_util::sync::CancellationToken;

use super::{Settings, catalogue::PoolObject};
use crate::{
    core::{
        atlas::{self, Advertisement, Endpoint},
        labels::Labels,
        lease::Record,
        ledger::Entries,
        pool::Pool,
        registrar::SeenService,
        report::Report,
        service::ServiceKey,
    },
    k8s::{
        convert,
        crd::{AddressBlock, AddressPool, L2Advertisement, Speaker},
        follow::{Follower, News},
        lease::{self, LeaseObject},
        metallb::{IPAddressPool, MetalLbAdvertisement},
        write,
    },
};

/// News of any kind.
#[derive(Debug)]
pub(super) enum Message {
    Service(News<SeenService>),
    Namespace(News<Labels>),
    Node(News<atlas::Node>),
    Slice(News<Option<(ServiceKey, Vec<Endpoint>)>>),
    Pool(News<PoolObject>),
    MetalLbPool(News<Result<Pool, String>>),
    Advertisement(News<Result<Advertisement, String>>),
    MetalLbAdvertisement(News<Result<Advertisement, String>>),
    Block(News<(String, Entries)>),
    Speaker(News<Report>),
    Lease(News<Record>),
}

/// Messages that wait at most; followers wait then.
const CAPACITY: usize = 1024;

/// Starts to follow.
pub(super) fn open(
    client: &Client,
    settings: &Settings,
    lease: &LeaseObject,
    lease_name: &str,
    token: &CancellationToken,
) -> Receiver<Message> {
    let (sender, inbox) = mpsc::channel(CAPACITY);
    let classes = settings.classes.clone();
    let services: Follower<Service, _, _> = Follower {
        api: Api::all(client.clone()),
        fields: None,
        convert: Box::new(move |service| convert::seen_service(service, &classes)),
        wrap: Message::Service,
        sender: sender.clone(),
    };
    tokio::spawn(services.run(token.clone()));
    macro_rules! follow {
        ($api:expr, $kind:ty, $wrap:path, $convert:expr) => {
            let follower: Follower<$kind, _, _> = Follower {
                api: $api,
                fields: None,
                convert: Box::new($convert),
                wrap: $wrap,
                sender: sender.clone(),
            };
            tokio::spawn(follower.run(token.clone()));
        };
    }
    let all = || client.clone();
    let metallb = &settings.metallb_namespace;
    follow!(Api::all(all()), Namespace, Message::Namespace, |object| {
        convert::labels(&object.metadata)
    });
    follow!(Api::all(all()), Node, Message::Node, convert::node);
    follow!(
        Api::all(all()),
        EndpointSlice,
        Message::Slice,
        convert::endpoints
    );
    follow!(
        Api::all(all()),
        AddressPool,
        Message::Pool,
        PoolObject::read
    );
    follow!(
        Api::namespaced(all(), metallb),
        IPAddressPool,
        Message::MetalLbPool,
        convert::metallb_pool
    );
    follow!(
        Api::all(all()),
        L2Advertisement,
        Message::Advertisement,
        convert::advertisement
    );
    follow!(
        Api::namespaced(all(), metallb),
        MetalLbAdvertisement,
        Message::MetalLbAdvertisement,
        convert::metallb_advertisement
    );
    follow!(
        Api::all(all()),
        AddressBlock,
        Message::Block,
        write::seen_block
    );
    follow!(Api::all(all()), Speaker, Message::Speaker, convert::report);
    let lease = Follower {
        api: lease.api(),
        fields: Some(format!("metadata.name={lease_name}")),
        convert: Box::new(lease::record),
        wrap: Message::Lease,
        sender,
    };
    tokio::spawn(lease.run(token.clone()));
    inbox
}
