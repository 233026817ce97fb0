use super::*;

#[test]
fn codes_are_dense_and_return() {
    let codes: Vec<i16> = ErrorCode::ALL.iter().map(|error| error.code()).collect();
    assert_eq!(codes, (-1..=133).collect::<Vec<i16>>());
    for &error in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_code(error.code()), error);
        assert!(error.message().ends_with('.'), "{error:?}");
        assert_eq!(format!("{error:?}"), error.name());
    }
    assert_eq!(ErrorCode::from_code(134), ErrorCode::UnknownServerError);
    assert_eq!(
        ErrorCode::from_code(i16::MIN),
        ErrorCode::UnknownServerError
    );
}

#[test]
fn retriable_errors_are_those_that_kafka_clients_retry() {
    let retriable: Vec<i16> = ErrorCode::ALL
        .iter()
        .filter(|error| error.is_retriable())
        .map(|e| e.code())
        .collect();
    assert_eq!(
        retriable,
        [
            2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83,
            84, 88, 89, 100, 103, 106, 122, 123, 133
        ]
    );
    assert!(!ErrorCode::None.is_error() && ErrorCode::UnknownServerError.is_error());
}
