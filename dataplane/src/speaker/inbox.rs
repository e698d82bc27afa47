//! Everything a speaker follows.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    core::v1::{Node, Secret, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client};
use tokio::sync::mpsc::{self, Receiver};
use tokio_util::sync::CancellationToken;

use super::{KEYS, Settings};
use crate::{
    core::{
        atlas::{self, Advertisement, Endpoint, Exposed},
        pool::Pool,
        service::ServiceKey,
    },
    k8s::{
        convert,
        crd::{AddressPool, L2Advertisement},
        follow::{Follower, News},
        metallb::{IPAddressPool, MetalLbAdvertisement},
    },
};

/// News of any kind.
#[derive(Debug)]
pub(super) enum Message {
    Service(News<Option<Exposed>>),
    Node(News<atlas::Node>),
    Slice(News<Option<(ServiceKey, Vec<Endpoint>)>>),
    Pool(News<Result<Pool, String>>),
    MetalLbPool(News<Result<Pool, String>>),
    Advertisement(News<Result<Advertisement, String>>),
    MetalLbAdvertisement(News<Result<Advertisement, String>>),
    Keys(News<BTreeMap<String, Vec<u8>>>),
}

/// Messages that wait at most; followers wait then.
const CAPACITY: usize = 1024;

/// Starts to follow.
pub(super) fn open(
    client: &Client,
    settings: &Settings,
    token: &CancellationToken,
) -> Receiver<Message> {
    let (sender, inbox) = mpsc::channel(CAPACITY);
    let classes = settings.classes.clone();
    macro_rules! follow {
        ($api:expr, $kind:ty, $fields:expr, $wrap:path, $convert:expr) => {
            let follower: Follower<$kind, _, _> = Follower {
                api: $api,
                fields: $fields,
                convert: Box::new($convert),
                wrap: $wrap,
                sender: sender.clone(),
            };
            tokio::spawn(follower.run(token.clone()));
        };
    }
    let all = || client.clone();
    let metallb = &settings.metallb_namespace;
    follow!(
        Api::all(all()),
        Service,
        None,
        Message::Service,
        move |service| { convert::announced_service(service, &classes) }
    );
    follow!(Api::all(all()), Node, None, Message::Node, convert::node);
    follow!(
        Api::all(all()),
        EndpointSlice,
        None,
        Message::Slice,
        convert::endpoints
    );
    follow!(
        Api::all(all()),
        AddressPool,
        None,
        Message::Pool,
        convert::pool
    );
    follow!(
        Api::namespaced(all(), metallb),
        IPAddressPool,
        None,
        Message::MetalLbPool,
        convert::metallb_pool
    );
    follow!(
        Api::all(all()),
        L2Advertisement,
        None,
        Message::Advertisement,
        convert::advertisement
    );
    follow!(
        Api::namespaced(all(), metallb),
        MetalLbAdvertisement,
        None,
        Message::MetalLbAdvertisement,
        convert::metallb_advertisement
    );
    follow!(
        Api::namespaced(all(), &settings.key_namespace),
        Secret,
        Some(format!("metadata.name={KEYS}")),
        Message::Keys,
        |secret: &Secret| {
            let data = secret.data.iter().flatten();
            data.map(|(name, value)| (name.clone(), value.0.clone()))
                .collect()
        }
    );
    inbox
}
