use super::{REQUEST, parse};

#[test]
fn the_request_says_its_own_size() {
    let size = u32::from_be_bytes([REQUEST[0], REQUEST[1], REQUEST[2], REQUEST[3]]);
    assert_eq!(size as usize, REQUEST.len() - 4);
}

#[test]
fn the_answer_names_the_brokers_after_the_correlation_id() {
    assert_eq!(parse(&[0, 0, 0, 7, 0, 0, 0, 1, 9]).expect("an answer"), 1);
    assert!(parse(&[0, 0, 0, 8, 0, 0, 0, 1]).is_err());
    assert!(parse(&[0, 0, 0, 7, 0]).is_err());
}
