//! Where the load balancers of a cluster run, on scripted machines: every placement is made, made again, changed and left.

mod dedicated;
mod manual;
mod networks;
mod separate;
mod single;

const FILE: &str = include_str!("../../../examples/three-control-planes.yaml");
