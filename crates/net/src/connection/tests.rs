use crate::Limits;
use crate::limits::{IN_FLIGHT_MAX, REPLY_BYTES_BUFFERED_MAX};
use crate::testing::{framed, serve, until, within};

use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn answers_leave_in_the_order_of_the_requests() {
    let server = serve(Limits::default());
    let mut client = server.connect().await;
    let frames: Vec<u8> = ["wait a", "echo b", "wait c", "none", "echo d"]
        .iter()
        .flat_map(|body| framed(body.as_bytes()))
        .collect();
    client.send_raw(&frames).await;
    server.service.wait_for_started(5).await;
    assert_eq!(
        server.service.started(),
        ["wait a", "echo b", "wait c", "none", "echo d"]
    );
    // The later one finishes first.
    server.service.release("c");
    server.service.release("a");
    for expected in ["wait a", "echo b", "wait c", "echo d"] {
        assert_eq!(client.receive_text().await, expected);
    }
}

#[tokio::test]
async fn a_deep_pipeline_is_answered_whole() {
    let server = serve(Limits::default());
    let client = server.connect().await;
    let (mut reader, mut writer) = client.0.into_split();
    let write = async {
        for i in 0..50_000 {
            let frame = framed(format!("request {i}").as_bytes());
            writer.write_all(&frame).await.unwrap();
        }
        writer
    };
    let read = async {
        use tokio::io::AsyncReadExt;
        for i in 0..50_000 {
            let len = reader.read_i32().await.unwrap();
            let mut body = vec![0; len as usize];
            reader.read_exact(&mut body).await.unwrap();
            assert_eq!(body, format!("request {i}").as_bytes());
        }
    };
    within(async { tokio::join!(write, read) }).await;
    assert_eq!(server.metrics.frames_received.get(), 50_000);
    assert_eq!(server.metrics.replies_sent.get(), 50_000);
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let server = serve(Limits::default());
    let mut client = server.connect().await;
    let many = IN_FLIGHT_MAX + 10;
    let frames: Vec<u8> = (0..many).flat_map(|_| framed(b"wait x")).collect();
    client.send_raw(&frames).await;
    server.service.wait_for_started(IN_FLIGHT_MAX).await;
    // A second connection is served meanwhile, so the first had every chance to go on.
    let mut other = server.connect().await;
    other.send(b"echo").await;
    assert_eq!(other.receive_text().await, "echo");
    assert_eq!(server.service.started().len(), IN_FLIGHT_MAX + 1);

    for _ in 0..many {
        server.service.release("x");
        assert_eq!(client.receive_text().await, "wait x");
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_leaves_its_requests_unread() {
    let server = serve(Limits::default());
    let mut slow = server.connect().await;
    let body = vec![b'x'; 256 * 1024];
    let count = 4 * REPLY_BYTES_BUFFERED_MAX / body.len();
    let frames: Vec<u8> = (0..count).flat_map(|_| framed(&body)).collect();
    let (mut reader, mut writer) = slow.0.split();
    let write = async { writer.write_all(&frames).await.unwrap() };
    let wait_and_read = async {
        use tokio::io::AsyncReadExt;
        // More than its buffers hold cannot have been taken before somebody reads.
        server
            .service
            .wait_for_started(REPLY_BYTES_BUFFERED_MAX / body.len())
            .await;
        let mut other = server.connect().await;
        other.send(b"echo").await;
        assert_eq!(other.receive_text().await, "echo");
        let taken = server.service.started().len();
        assert!(taken < count, "{taken} of {count} requests were taken");
        for _ in 0..count {
            let len = reader.read_i32().await.unwrap();
            let mut answer = vec![0; len as usize];
            reader.read_exact(&mut answer).await.unwrap();
            assert!(answer == body);
        }
    };
    within(async { tokio::join!(write, wait_and_read) }).await;
}

#[tokio::test]
async fn hostile_lengths_close_their_connection_only() {
    let server = serve(Limits::default());
    let mut good = server.connect().await;
    for len in [0, -1, i32::MIN, i32::MAX, 100 * 1024 * 1024 + 1] {
        let mut hostile = server.connect().await;
        hostile.send(b"before").await;
        assert_eq!(hostile.receive_text().await, "before");
        hostile.send_raw(&len.to_be_bytes()).await;
        assert_eq!(hostile.receive_end().await, b"");
        good.send(b"still here").await;
        assert_eq!(good.receive_text().await, "still here");
    }
    assert_eq!(server.metrics.frames_refused.get(), 5);
}

#[tokio::test]
async fn half_open_connections_by_the_thousand_harm_nobody() {
    let server = serve(Limits::default());
    let mut half_open = Vec::new();
    for i in 0..2_000 {
        let mut client = server.connect().await;
        // Nothing, part of a length, or the start of the largest frame.
        match i % 3 {
            0 => {}
            1 => client.send_raw(&[0, 0]).await,
            _ => {
                let mut start = (100 * 1024 * 1024_i32).to_be_bytes().to_vec();
                start.extend_from_slice(b"start");
                client.send_raw(&start).await;
            }
        }
        half_open.push(client);
    }
    let mut good = server.connect().await;
    good.send(b"echo").await;
    assert_eq!(good.receive_text().await, "echo");
    until(|| server.metrics.connections_open.get() == 2_001).await;
    drop(half_open);
    until(|| server.metrics.connections_open.get() == 1).await;
    good.send(b"again").await;
    assert_eq!(good.receive_text().await, "again");
}

#[tokio::test]
async fn an_exhausted_budget_waits_and_recovers() {
    let limits = Limits {
        request_bytes_max: 1000,
        queued_bytes_max: 1000,
        ..Limits::default()
    };
    let server = serve(limits);
    let mut holder = server.connect().await;
    let mut body = b"wait held ".to_vec();
    body.resize(900, b'.');
    holder.send(&body).await;
    server.service.wait_for_started(1).await;

    let mut waiting = server.connect().await;
    waiting.send(&[b'w'; 200]).await;
    until(|| server.metrics.budget_waits.get() == 1).await;
    assert_eq!(server.service.started().len(), 1);

    server.service.release("held");
    assert_eq!(holder.receive().await, body);
    assert_eq!(waiting.receive().await, [b'w'; 200]);
}

#[tokio::test]
async fn a_waiter_that_leaves_frees_its_place() {
    let limits = Limits {
        request_bytes_max: 1000,
        queued_bytes_max: 1000,
        ..Limits::default()
    };
    let server = serve(limits);
    let mut holder = server.connect().await;
    holder
        .send(&[b"wait held ".as_slice(), &[b'.'; 890]].concat())
        .await;
    server.service.wait_for_started(1).await;
    let mut large = server.connect().await;
    large.send(&[b'l'; 1000]).await;
    until(|| server.metrics.budget_waits.get() == 1).await;
    // Behind the large one, although it would fit by itself.
    let mut small = server.connect().await;
    small.send(&[b's'; 50]).await;
    until(|| server.metrics.budget_waits.get() == 2).await;

    // A reset, as opposed to a half-closed connection, whose requests would go on.
    let linger = Some(std::time::Duration::ZERO);
    socket2::SockRef::from(&holder.0)
        .set_linger(linger)
        .unwrap();
    drop(holder);
    assert_eq!(large.receive().await, [b'l'; 1000]);
    assert_eq!(small.receive().await, [b's'; 50]);
}

#[tokio::test]
async fn closing_answers_what_came_before_and_drops_what_came_after() {
    let server = serve(Limits::default());
    let mut client = server.connect().await;
    let frames: Vec<u8> = ["wait a", "close", "echo never"]
        .iter()
        .flat_map(|body| framed(body.as_bytes()))
        .collect();
    client.send_raw(&frames).await;
    server.service.wait_for_started(3).await;
    server.service.release("a");
    assert_eq!(client.receive_end().await, framed(b"wait a"));
}

#[tokio::test]
async fn a_panic_costs_one_connection() {
    let server = serve(Limits::default());
    let mut good = server.connect().await;
    let mut bad = server.connect().await;
    bad.send(b"panic").await;
    assert_eq!(bad.receive_end().await, b"");
    until(|| server.metrics.panics.get() == 1).await;
    good.send(b"still here").await;
    assert_eq!(good.receive_text().await, "still here");
    until(|| server.metrics.connections_open.get() == 1).await;
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_its_answers() {
    let server = serve(Limits::default());
    let mut client = server.connect().await;
    client.send(b"wait a").await;
    client.0.shutdown().await.unwrap();
    server.service.wait_for_started(1).await;
    server.service.release("a");
    assert_eq!(client.receive_end().await, framed(b"wait a"));
    until(|| server.metrics.connections_open.get() == 0).await;
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let limits = Limits {
        idle_max: std::time::Duration::from_millis(50),
        ..Limits::default()
    };
    let server = serve(limits);
    let mut busy = server.connect().await;
    busy.send(b"wait a").await;
    server.service.wait_for_started(1).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.receive_end().await, b"");
    let mut mid_frame = server.connect().await;
    mid_frame.send_raw(&[0, 0, 1, 0, b'x']).await;
    assert_eq!(mid_frame.receive_end().await, b"");
    server.service.release("a");
    assert_eq!(busy.receive_text().await, "wait a");
}
