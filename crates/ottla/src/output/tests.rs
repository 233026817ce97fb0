use super::*;

#[test]
fn tables_are_aligned_and_end_without_blanks() {
    let rows = [
        vec!["a".to_owned(), "1".to_owned()],
        vec!["longer".to_owned(), String::new()],
    ];
    assert_eq!(
        table(&["NAME", "N"], rows),
        "NAME    N\na       1\nlonger\n"
    );
}

#[test]
fn nothing_is_shown_as_a_dash() {
    assert_eq!(list([1, 2]), "1,2");
    assert_eq!(list(Vec::<i32>::new()), "-");
}
