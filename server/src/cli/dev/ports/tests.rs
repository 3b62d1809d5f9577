use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use super::{HIGHEST, LOWEST, check, free, next_free, taken};

#[test]
fn a_port_in_use_is_one_clear_line() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let error = format!("{:#}", check(address, "choose another with --tcp").unwrap_err());
    assert_eq!(error, format!("{address} is in use; stop what listens there, or choose another with --tcp"));
    let next = next_free(address.ip(), address.port(), &BTreeSet::new()).unwrap();
    assert!(next > address.port());
    let promised = BTreeSet::from([next]);
    assert!(next_free(address.ip(), address.port(), &promised).unwrap() > next);
    drop(held);
    check(address, "").unwrap();
}

#[test]
fn free_ports_are_nobodys() {
    let ip = Ipv4Addr::LOCALHOST.into();
    let given: [SocketAddr; 100] = free(ip, &BTreeSet::new()).unwrap();
    let ports: BTreeSet<u16> = given.iter().map(SocketAddr::port).collect();
    assert_eq!(ports.len(), given.len());
    assert!(given.iter().all(|address| address.ip() == ip));
    // Were it not for what is promised, each of them would be one of these.
    let promised = (LOWEST..HIGHEST).collect();
    let [outside] = free(ip, &promised).unwrap();
    assert!(outside.port() >= HIGHEST);
}

#[test]
fn who_listens_is_in_the_way() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let [other] = free(address.ip(), &BTreeSet::new()).unwrap();
    assert_eq!(taken([other, address]), Some(address));
    assert_eq!(taken([other, other]), None);
}
