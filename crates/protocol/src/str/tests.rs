use std::collections::HashMap;

use super::*;

#[test]
fn behaves_like_str() {
    let a = Str::from("topic");
    assert_eq!(a, "topic");
    assert_eq!("topic", a);
    assert_eq!(a, String::from("topic"));
    assert_eq!(a.len(), 5);
    assert!(a.starts_with("to"));
    assert_eq!(format!("{a} {a:?} [{a:>7}]"), "topic \"topic\" [  topic]");
    let mut sorted = [Str::from("b"), Str::from("a"), Str::from("B")];
    sorted.sort();
    assert_eq!(sorted, ["B", "a", "b"]);
    assert_eq!(Str::default(), "");
    const NAME: Str = Str::from_static("__consumer_offsets");
    assert_eq!(String::from(NAME), "__consumer_offsets");
}

#[test]
fn is_found_in_maps_by_str() {
    let map = HashMap::from([(Str::from("a"), 1), (Str::from("語"), 2)]);
    assert_eq!(map.get("語"), Some(&2));
    assert_eq!(map.get("b"), None);
}

#[test]
fn shares_a_frame_until_detached() {
    let frame = Bytes::from(b"...name...".to_vec());
    let shared = Str::from_utf8(frame.slice(3..7)).unwrap();
    assert_eq!(shared.as_ptr(), frame[3..].as_ptr());
    let detached = shared.detached();
    assert_eq!(detached, shared);
    assert_ne!(detached.as_ptr(), shared.as_ptr());
}

#[test]
fn refuses_what_is_not_utf8() {
    assert!(Str::from_utf8(Bytes::from_static(b"\xff")).is_err());
    // Java's form of a surrogate, which UTF-8 does not have.
    assert!(Str::from_utf8(Bytes::from_static(b"\xed\xa0\x80")).is_err());
}
