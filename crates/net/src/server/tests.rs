use std::sync::atomic::Ordering;

use crate::testing::{Client, serve, until, within};
use crate::{Limits, ListenerConfig, Server};

use std::time::Duration;

#[tokio::test]
async fn stopping_lets_requests_in_flight_finish() {
    let server = serve(Limits::default());
    let mut busy = server.connect().await;
    let mut idle = server.connect().await;
    busy.send(b"wait a").await;
    server.service.wait_for_started(1).await;
    until(|| server.metrics.connections_open.get() == 2).await;

    let stop = tokio::spawn(server.handle.stop(Duration::from_secs(60)));
    assert_eq!(idle.receive_end().await, b"");
    server.service.release("a");
    assert_eq!(busy.receive_text().await, "wait a");
    assert_eq!(busy.receive_end().await, b"");
    within(stop).await.unwrap();
    assert_eq!(server.metrics.connections_open.get(), 0);
    assert_eq!(server.service.dropped_connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let server = serve(Limits::default());
    let address = server.handle.addresses()[0].1;
    let mut stuck = server.connect().await;
    stuck.send(b"wait for ever").await;
    server.service.wait_for_started(1).await;
    within(server.handle.stop(Duration::from_millis(10))).await;
    assert_eq!(stuck.receive_end().await, b"");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_connection_beyond_the_limit_of_its_address_is_closed() {
    let server = serve(Limits {
        connections_per_ip_max: 2,
        ..Limits::default()
    });
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.send(b"echo").await;
        assert_eq!(client.receive_text().await, "echo");
        clients.push(client);
    }
    let mut refused = server.connect().await;
    assert_eq!(refused.receive_end().await, b"");
    assert_eq!(server.metrics.connections_refused_per_ip.get(), 1);
    clients.clear();
    until(|| server.metrics.connections_open.get() == 0).await;
    let mut client = server.connect().await;
    client.send(b"echo").await;
    assert_eq!(client.receive_text().await, "echo");
}

#[tokio::test]
async fn connections_beyond_the_limit_of_the_broker_wait() {
    let server = serve(Limits {
        connections_max: 1,
        ..Limits::default()
    });
    let mut first = server.connect().await;
    first.send(b"echo").await;
    assert_eq!(first.receive_text().await, "echo");
    let mut second = server.connect().await;
    second.send(b"second").await;
    first.send(b"again").await;
    assert_eq!(first.receive_text().await, "again");
    assert_eq!(server.metrics.connections_accepted.get(), 1);
    drop(first);
    assert_eq!(second.receive_text().await, "second");
}

#[tokio::test]
async fn an_address_in_use_is_reported_with_its_listener() {
    let server = serve(Limits::default());
    let taken = server.handle.addresses()[0].1;
    let error = Server::bind(Limits::default(), &[ListenerConfig::new("INTERNAL", taken)])
        .err()
        .unwrap();
    let text = error.to_string();
    assert!(
        text.contains("INTERNAL") && text.contains(&taken.to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn a_listener_that_nobody_uses_takes_no_place() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let any = "127.0.0.1:0".parse().unwrap();
    let listeners = ["A", "B"].map(|name| ListenerConfig::new(name, any));
    let server = Server::bind(limits, &listeners).unwrap();
    let handle = server.start(std::sync::Arc::new(crate::testing::Scripted::default()));
    for (_, address) in handle.addresses() {
        let stream = within(tokio::net::TcpStream::connect(address))
            .await
            .unwrap();
        let mut client = Client(stream);
        client.send(b"echo").await;
        assert_eq!(client.receive_text().await, "echo");
    }
}
