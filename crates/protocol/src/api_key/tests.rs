use super::*;

#[test]
fn every_api_of_kafka_4_3_is_there() {
    let codes: Vec<i16> = ApiKey::ALL.iter().map(|key| key.code()).collect();
    let expected: Vec<i16> = (0..=92).filter(|code| !(4..=7).contains(code)).collect();
    assert_eq!(codes, expected);
    for &key in ApiKey::ALL {
        assert_eq!(ApiKey::try_from(key.code()), Ok(key));
        assert!(key.on_broker() || key.on_controller(), "{key}");
    }
    for code in [-1, 4, 7, 93, i16::MAX] {
        assert_eq!(ApiKey::try_from(code), Err(UnknownApiKey(code)));
    }
}

#[test]
fn unstable_versions_are_decoded_and_not_advertised() {
    let unstable: Vec<(&str, RangeInclusive<i16>, i16)> = ApiKey::ALL
        .iter()
        .filter(|key| key.valid_versions() != key.all_versions())
        .map(|key| (key.name(), key.valid_versions(), *key.all_versions().end()))
        .collect();
    assert_eq!(unstable, [("InitProducerId", 0..=5, 6)]);
}

#[test]
fn headers_change_where_an_api_becomes_flexible() {
    for (key, version, request, response) in [
        (ApiKey::Produce, 8, 1, 0),
        (ApiKey::Produce, 9, 2, 1),
        (ApiKey::SaslHandshake, 1, 1, 0),
        (ApiKey::ApiVersions, 2, 1, 0),
        (ApiKey::ApiVersions, 3, 2, 0),
        (ApiKey::ApiVersions, 4, 2, 0),
        (ApiKey::BrokerRegistration, 0, 2, 1),
    ] {
        assert_eq!(
            key.request_header_version(version),
            request,
            "{key} {version}"
        );
        assert_eq!(
            key.response_header_version(version),
            response,
            "{key} {version}"
        );
    }
}
