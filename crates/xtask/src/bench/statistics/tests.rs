use super::*;

#[test]
fn the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
    let of = |values: &[f64]| {
        let spread = spread(values.iter().copied()).expect("values");
        (spread.min, spread.median, spread.max)
    };
    assert_eq!(of(&[3.0]), (3.0, 3.0, 3.0));
    assert_eq!(of(&[5.0, 1.0, 2.0]), (1.0, 2.0, 5.0));
    assert_eq!(of(&[4.0, 1.0, 2.0, 9.0]), (1.0, 3.0, 9.0));
    assert_eq!(spread([]), None);
}
