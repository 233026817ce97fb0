//! What holds for every message in every version.

use std::ops::RangeInclusive;

use bytes::Bytes;
use proptest::prelude::*;

use crate::generated::roster::every_message;
use crate::messages::{FetchRequest, MetadataRequest, OffsetFetchRequest, ProduceRequest};
use crate::{
    DecodeError, Decoder, EncodeError, MAX_ARRAY_ELEMENTS, MAX_DECODED_BYTES_BASE,
    MAX_DECODED_BYTES_PER_BYTE, Message,
};

/// Random messages per message and version.
const SAMPLES: u64 = 8;
/// And for the checks that repeat for each byte of a message.
const DAMAGED_SAMPLES: u64 = 1;
/// Random inputs, each of which every message in every version has to face.
const RANDOM_CASES: u32 = 16;
/// Draws until dice make a message that its version can carry.
const MAX_DRAWS: u64 = 10_000;

/// A kind of message, its type erased so that each check is compiled once.
pub(crate) struct Subject {
    pub name: &'static str,
    pub versions: RangeInclusive<i16>,
    /// Encodes the random message of a seed, having seen it survive a round trip.
    pub draw: fn(i16, u64) -> Bytes,
    /// Decodes and encodes; also says how many bytes were not read.
    pub recode: fn(i16, Bytes) -> Result<(Bytes, usize), DecodeError>,
}

pub(crate) fn subjects() -> Vec<Subject> {
    every_message!(subject).into()
}

fn subject<M: Message + PartialEq + std::fmt::Debug>() -> Subject {
    Subject {
        name: M::NAME,
        versions: M::VALID_VERSIONS,
        draw: |version, seed| {
            let message: M = random(version, seed);
            let bytes = encoded(&message, version);
            assert_eq!(
                M::from_bytes(bytes.clone(), version),
                Ok(message),
                "{} v{version}",
                M::NAME
            );
            bytes
        },
        recode: |version, bytes| {
            let mut d = Decoder::new(bytes);
            let message = M::decode(&mut d, version)?;
            Ok((encoded(&message, version), d.remaining()))
        },
    }
}

fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    message
        .to_bytes(version)
        .unwrap_or_else(|error| panic!("{} v{version}: {error}", M::NAME))
}

/// The message that dice make of a seed.
fn random<M: Message + PartialEq>(version: i16, seed: u64) -> M {
    (0..MAX_DRAWS)
        .filter_map(|draw| {
            M::decode(&mut Decoder::with_dice(seed * MAX_DRAWS + draw), version).ok()
        })
        // Not a number is not equal to itself.
        .find(|message| PartialEq::eq(message, message))
        .unwrap_or_else(|| panic!("{} v{version} cannot be drawn", M::NAME))
}

fn for_each_sample(samples: u64, mut check: impl FnMut(&Subject, i16, Bytes)) {
    for subject in subjects() {
        for version in subject.versions.clone() {
            for seed in 0..samples {
                check(&subject, version, (subject.draw)(version, seed));
            }
        }
    }
}

#[test]
fn what_is_encoded_is_decoded_and_encodes_the_same() {
    let mut samples = 0;
    for_each_sample(SAMPLES, |subject, version, bytes| {
        let recoded = (subject.recode)(version, bytes.clone());
        assert_eq!(recoded, Ok((bytes, 0)), "{} v{version}", subject.name);
        samples += 1;
    });
    assert!(samples > 5_000, "{samples}");
}

#[test]
fn a_message_cut_short_is_an_error() {
    for_each_sample(DAMAGED_SAMPLES, |subject, version, bytes| {
        for len in 0..bytes.len() {
            let cut = (subject.recode)(version, bytes.slice(..len));
            assert!(
                cut.is_err(),
                "{} v{version} cut at {len} of {}",
                subject.name,
                bytes.len()
            );
        }
    });
}

#[test]
fn damage_never_panics_and_what_still_decodes_is_stable() {
    for_each_sample(DAMAGED_SAMPLES, |subject, version, bytes| {
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff, bytes[at] ^ 1] {
                let mut damaged = bytes.to_vec();
                damaged[at] = value;
                check_stable(subject, version, damaged.into());
            }
        }
    });
}

#[test]
fn bytes_behind_a_message_are_left_alone() {
    for_each_sample(SAMPLES, |subject, version, bytes| {
        let longer = [&bytes[..], b"behind"].concat();
        let recoded = (subject.recode)(version, longer.into());
        assert_eq!(recoded, Ok((bytes, 6)), "{} v{version}", subject.name);
    });
}

#[test]
fn hostile_lengths_are_refused() {
    let claims: [&[u8]; 4] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x00, 0x00, 0x00],
        &[0x00, 0x0f, 0x42, 0x41],
    ];
    for subject in subjects() {
        for version in subject.versions.clone() {
            for claim in claims {
                for repeats in [1, 3, 40] {
                    check_stable(&subject, version, claim.repeat(repeats).into());
                }
            }
        }
    }
}

/// Decodes or fails, without a panic; and if it decodes, encoding has one form.
fn check_stable(subject: &Subject, version: i16, bytes: Bytes) {
    let Ok((once, _)) = (subject.recode)(version, bytes) else {
        return;
    };
    let twice = (subject.recode)(version, once.clone());
    assert_eq!(twice, Ok((once, 0)), "{} v{version}", subject.name);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(RANDOM_CASES))]

    #[test]
    fn random_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        small in proptest::collection::vec(0..4u8, 0..300),
    ) {
        for subject in subjects() {
            for version in subject.versions.clone() {
                check_stable(&subject, version, bytes.clone().into());
                check_stable(&subject, version, small.clone().into());
            }
        }
    }
}

#[test]
fn an_array_of_two_billion_elements_is_refused() {
    // The request that brings other decoders down: a topics array of 2^31-1 elements.
    let hostile = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let error = MetadataRequest::from_bytes(hostile, 4).unwrap_err();
    assert_eq!(error, DecodeError::TooManyElements(i32::MAX as usize));
}

#[test]
fn elements_that_are_small_on_the_wire_stay_within_their_memory() {
    // Three groups of a million topics each: three bytes per topic, a hundred in memory.
    let mut frame = vec![4];
    for _ in 0..3 {
        frame.extend([1, 0xc1, 0x84, 0x3d]);
        frame.extend([1, 1, 0].repeat(MAX_ARRAY_ELEMENTS));
        frame.push(0);
    }
    frame.extend([0, 0]);
    let budget = MAX_DECODED_BYTES_BASE + MAX_DECODED_BYTES_PER_BYTE * frame.len();
    let error = OffsetFetchRequest::from_bytes(frame.into(), 8).unwrap_err();
    assert_eq!(error, DecodeError::TooMuchMemory(budget));
}

#[test]
fn versions_that_do_not_exist_are_refused_both_ways() {
    let unsupported = DecodeError::UnsupportedVersion {
        message: "FetchRequest",
        version: 3,
    };
    assert_eq!(FetchRequest::from_slice(&[0; 64], 3), Err(unsupported));
    let unsupported = EncodeError::UnsupportedVersion {
        message: "ProduceRequest",
        version: 14,
    };
    assert_eq!(ProduceRequest::default().to_bytes(14), Err(unsupported));
}

#[test]
fn messages_that_apache_kafka_wrote_are_read_and_written_alike() {
    let lines = include_str!("../../tests/kafka/messages.txt").lines();
    let written: Vec<Vec<&str>> = lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').collect())
        .collect();
    for subject in subjects() {
        for version in subject.versions.clone() {
            let line = written
                .iter()
                .find(|line| line[0] == subject.name && line[1] == version.to_string())
                .unwrap_or_else(|| panic!("nothing for {} v{version}", subject.name));
            let bytes: Bytes = from_hex(line[2]).into();
            let recoded = (subject.recode)(version, bytes.clone());
            assert_eq!(recoded, Ok((bytes, 0)), "{} v{version}", subject.name);
        }
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16);
    (0..text.len())
        .step_by(2)
        .map(|at| digit(at).expect("hex digits"))
        .collect()
}
