//! Hostile frames: `cargo test` throws random ones, `cargo bolero test` (with a fuzzer's engine) searches.
//!
//! What decodes must encode again, and decode from that to the same.

use bolero::check;
use bytes::Bytes;
use ottla_protocol::messages::{
    AddPartitionsToTxnRequest, AlterConfigsRequest, ApiVersionsRequest, CreateTopicsRequest,
    DescribeConfigsRequest, FetchRequest, FindCoordinatorRequest, JoinGroupRequest,
    ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
    SyncGroupRequest,
};
use ottla_protocol::{Decoder, Message, RequestHeader};

#[test]
fn any_frame_has_a_header_or_an_error() {
    check!().for_each(|input: &[u8]| {
        let mut decoder = Decoder::new(Bytes::copy_from_slice(input));
        if let Ok((header, key)) = RequestHeader::decode(&mut decoder) {
            assert_eq!(header.api_key, key.code());
            assert!(decoder.position() <= input.len());
        }
    });
}

#[test]
fn any_body_decodes_to_what_it_encodes_to_or_is_an_error() {
    check!()
        .with_type::<(u8, Vec<u8>)>()
        .for_each(|(version, body)| {
            let body = Bytes::copy_from_slice(body);
            recode::<AddPartitionsToTxnRequest>(*version, &body);
            recode::<AlterConfigsRequest>(*version, &body);
            recode::<ApiVersionsRequest>(*version, &body);
            recode::<CreateTopicsRequest>(*version, &body);
            recode::<DescribeConfigsRequest>(*version, &body);
            recode::<FetchRequest>(*version, &body);
            recode::<FindCoordinatorRequest>(*version, &body);
            recode::<JoinGroupRequest>(*version, &body);
            recode::<ListOffsetsRequest>(*version, &body);
            recode::<MetadataRequest>(*version, &body);
            recode::<OffsetCommitRequest>(*version, &body);
            recode::<OffsetFetchRequest>(*version, &body);
            recode::<ProduceRequest>(*version, &body);
            recode::<SyncGroupRequest>(*version, &body);
        });
}

fn recode<M: Message + PartialEq + std::fmt::Debug>(version: u8, body: &Bytes) {
    let versions = M::VALID_VERSIONS;
    let count = versions.end() - versions.start() + 1;
    let version = versions.start() + i16::from(version) % count;
    let Ok(message) = M::from_bytes(body.clone(), version) else {
        return;
    };
    let again = message
        .to_bytes(version)
        .expect("what was decoded can be encoded");
    assert_eq!(M::from_bytes(again, version).as_ref(), Ok(&message));
}
