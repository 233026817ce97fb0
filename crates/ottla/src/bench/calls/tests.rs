use std::io;

use bytes::BytesMut;
use ottla_net::client::ClientError;
use ottla_protocol::ErrorCode;

use super::{ANSWER_BYTES_MAX, Attempt, address, check, read_frame};

/// Reads frames out of `pieces`, which arrive one after the other.
fn frames(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, io::ErrorKind) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut from, mut to) = tokio::io::duplex(1024);
        let send = async {
            for piece in pieces {
                tokio::io::AsyncWriteExt::write_all(&mut to, piece)
                    .await
                    .unwrap();
                tokio::task::yield_now().await;
            }
            drop(to);
        };
        let read = async {
            let mut bytes = BytesMut::new();
            let mut frames = Vec::new();
            loop {
                match read_frame(&mut from, &mut bytes).await {
                    Ok(frame) => frames.push(frame.to_vec()),
                    Err(error) => return (frames, error.kind()),
                }
            }
        };
        tokio::join!(send, read).1
    })
}

#[test]
fn frames_are_found_however_they_arrive() {
    let expected = (
        vec![b"abc".to_vec(), Vec::new(), b"d".to_vec()],
        io::ErrorKind::UnexpectedEof,
    );
    let bytes = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01d";
    assert_eq!(frames(&[bytes]), expected);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(frames(&single), expected);
    let cut = frames(&[&bytes[..bytes.len() - 1]]);
    assert_eq!(cut, (expected.0[..2].to_vec(), expected.1));
}

#[test]
fn an_answer_that_claims_too_much_is_refused_before_it_is_read() {
    let length = u32::try_from(ANSWER_BYTES_MAX + 1).unwrap().to_be_bytes();
    assert_eq!(frames(&[&length]), (vec![], io::ErrorKind::InvalidData));
    assert_eq!(frames(&[&[0xff; 4]]), (vec![], io::ErrorKind::InvalidData));
}

#[test]
fn only_refusals_that_pass_are_tried_again() {
    let refused = |code: ErrorCode| check(|| "group g".to_owned(), code.code(), Some("why"));
    assert!(matches!(
        Attempt::of(refused(ErrorCode::None)),
        Ok(Attempt::Done(()))
    ));
    assert!(matches!(
        Attempt::of(refused(ErrorCode::ConcurrentTransactions)),
        Ok(Attempt::Later(_))
    ));
    let fatal = Attempt::of(refused(ErrorCode::InvalidGroupId)).err();
    let text = fatal.as_ref().map(ClientError::to_string);
    assert_eq!(text.as_deref(), Some("group g: why (InvalidGroupId)"));
}

#[test]
fn an_ipv6_address_gets_brackets() {
    assert_eq!(address("::1", 9092), "[::1]:9092");
    assert_eq!(address("[::1]", 9092), "[::1]:9092");
    assert_eq!(address("host", 1), "host:1");
}
