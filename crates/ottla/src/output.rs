//! Answers as tables for people or as JSON for programs.
//!
//! Called by every tool; the only place that writes whole answers to standard output.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::error::ToolError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Tables for people.
    #[default]
    #[value(alias = "table")]
    Text,
    /// For programs.
    Json,
}

/// Prints a list: as JSON, as a table with a row for each item, or, where people would see an empty table, says that
/// there is `nothing`.
pub fn print_list<T: Serialize>(
    output: Format,
    items: Vec<T>,
    nothing: &str,
    headings: &[&str],
    row: impl Fn(T) -> Vec<String>,
) -> Result<(), ToolError> {
    if output == Format::Json {
        return print_json(&items);
    }
    if items.is_empty() {
        eprintln!("{nothing}");
        return Ok(());
    }
    print_table(headings, items.into_iter().map(row))
}

/// Prints descriptions: as JSON, or one after the other with a blank line between them.
pub fn print_descriptions<T: Serialize>(
    output: Format,
    described: &[T],
    render: impl Fn(&T) -> String,
) -> Result<(), ToolError> {
    if output == Format::Json {
        return print_json(&described);
    }
    let texts: Vec<String> = described.iter().map(render).collect();
    print_text(&texts.join("\n"))
}

/// Prints rows under headings, columns aligned, nothing drawn around them: easy to read and to cut.
pub fn print_table<R>(headings: &[&str], rows: R) -> Result<(), ToolError>
where
    R: IntoIterator<Item = Vec<String>>,
{
    print_text(&table(headings, rows))
}

/// The lines of a table, without blanks at their ends.
pub fn table<R>(headings: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = Vec<String>>,
{
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Prints one JSON value, indented.
pub fn print_json(value: &impl Serialize) -> Result<(), ToolError> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    print_text(&text)
}

pub fn print_text(text: &str) -> Result<(), ToolError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(ToolError::Output)
}

/// Joins what can be shown.
pub fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.is_empty() {
        true => "-".to_owned(),
        false => items.join(","),
    }
}

#[cfg(test)]
mod tests;
