use bytes::Bytes;

use super::*;
use crate::messages::api_versions_response::ApiVersion;
use crate::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use crate::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, MetadataRequest,
};
use crate::{ApiKey, Decoder, Records};

#[test]
fn a_request_frame_is_length_header_and_message() {
    let request = ApiVersionsRequest {
        client_software_name: "ottla".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    let frame = encode_request(&request, 3, 9, Some("c".into())).unwrap();
    assert_eq!(
        &frame.buf[..],
        b"\0\0\0\x15\0\x12\0\x03\0\0\0\x09\0\x01c\0\x06ottla\x021\0"
    );
    let mut d = Decoder::new(frame.buf.slice(LENGTH_SIZE..));
    let (header, api) = RequestHeader::decode(&mut d).unwrap();
    assert_eq!((header.correlation_id, api), (9, ApiKey::ApiVersions));
    assert_eq!(ApiVersionsRequest::decode(&mut d, 3), Ok(request));
}

#[test]
fn the_shortest_request_has_the_length_that_servers_wait_for() {
    let request = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    let frame = encode_request(&request, 4, 0, None).unwrap();
    // Without the message: an array length and a flag.
    assert_eq!(frame.len() - LENGTH_SIZE - 4 - 1, MIN_REQUEST_SIZE);
}

#[test]
fn an_answer_to_api_versions_has_the_oldest_header() {
    let response = ApiVersionsResponse {
        api_keys: vec![ApiVersion {
            api_key: 18,
            max_version: 4,
            ..Default::default()
        }],
        ..Default::default()
    };
    let frame = encode_response::<ApiVersionsRequest>(&response, 3, 1).unwrap();
    let body = b"\0\0\x02\0\x12\0\0\0\x04\0\0\0\0\0\0";
    assert_eq!(frame.buf[..8], *b"\0\0\0\x13\0\0\0\x01");
    assert_eq!(frame.buf[8..], body[..]);
}

#[test]
fn the_length_of_a_fetch_counts_the_spliced_records() {
    let partition = |records| PartitionData {
        records,
        ..Default::default()
    };
    let answer = |records: Vec<Option<Records>>| FetchResponse {
        responses: vec![FetchableTopicResponse {
            partitions: records.into_iter().map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let (first, second) = (Bytes::from(vec![1; 300]), Bytes::from(vec![2; 7]));
    let inline = answer(vec![
        Some(Records::Bytes(first.clone())),
        None,
        Some(Records::Bytes(second.clone())),
    ]);
    let external = answer(vec![
        Some(Records::External {
            token: 10,
            len: first.len(),
        }),
        None,
        Some(Records::External {
            token: 11,
            len: second.len(),
        }),
    ]);
    for version in FetchRequest::VALID_VERSIONS {
        let inline = encode_response::<FetchRequest>(&inline, version, 4).unwrap();
        let external = encode_response::<FetchRequest>(&external, version, 4).unwrap();
        assert_eq!(external.len(), inline.len(), "v{version}");

        // Splice the bytes in, as a connection does while it sends.
        let mut sent = Vec::new();
        let mut from = 0;
        for (splice, bytes) in external.splices.iter().zip([&first, &second]) {
            sent.extend_from_slice(&external.buf[from..splice.at]);
            sent.extend_from_slice(bytes);
            from = splice.at;
        }
        sent.extend_from_slice(&external.buf[from..]);
        assert_eq!(sent, inline.buf, "v{version}");
    }
}

#[test]
fn a_value_that_the_version_cannot_carry_is_an_error() {
    let request = MetadataRequest {
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let error = encode_request(&request, 3, 0, None).unwrap_err();
    let field = "MetadataRequest.allow_auto_topic_creation";
    assert_eq!(error, EncodeError::FieldNotInVersion { field, version: 3 });
    let all_topics = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    let error = encode_request(&all_topics, 0, 0, None).unwrap_err();
    let field = "MetadataRequest.topics";
    assert_eq!(error, EncodeError::NullField { field, version: 0 });
}
