//! As much of the OpenTelemetry protocol as it takes to say what a client has pushed.
//!
//! ```text
//! MetricsData   1: ResourceMetrics…
//! ResourceMetrics   2: ScopeMetrics…
//! ScopeMetrics   2: Metric…
//! Metric   1: name   5: gauge   7: sum   (1: NumberDataPoint… in either)
//! NumberDataPoint   4: double   6: integer of 64 bits
//! ```
//!
//! Invariant: borrows from the input, and never reads past it whatever lengths it claims.

/// One metric of a push.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric<'a> {
    pub name: &'a str,
    pub points: usize,
    /// Of its last point, where that has a number.
    pub value: Option<f64>,
}

/// The bytes are something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not metrics in OTLP")]
pub struct NotOtlp;

const RESOURCE_METRICS: u64 = 1;
const SCOPE_METRICS: u64 = 2;
const METRICS: u64 = 2;
const NAME: u64 = 1;
const GAUGE: u64 = 5;
const SUM: u64 = 7;
const DATA_POINTS: u64 = 1;
const AS_DOUBLE: u64 = 4;
const AS_INT: u64 = 6;

/// The metrics in `bytes`, up to and with the first thing that cannot be read.
pub fn metrics(bytes: &[u8]) -> impl Iterator<Item = Result<Metric<'_>, NotOtlp>> {
    inner(Fields(bytes), RESOURCE_METRICS)
        .flat_map(|resource| within(resource, SCOPE_METRICS))
        .flat_map(|scope| within(scope, METRICS))
        .map(|found| found.and_then(metric))
}

type Found<'a> = Result<&'a [u8], NotOtlp>;

fn within(message: Found<'_>, number: u64) -> Box<dyn Iterator<Item = Found<'_>> + '_> {
    match message {
        Ok(bytes) => Box::new(inner(Fields(bytes), number)),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

/// The messages in the fields of one number.
fn inner<'a>(fields: Fields<'a>, number: u64) -> impl Iterator<Item = Found<'a>> {
    fields.filter_map(move |field| match field {
        Ok((found, Content::Bytes(bytes))) if found == number => Some(Ok(bytes)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

fn metric(bytes: &[u8]) -> Result<Metric<'_>, NotOtlp> {
    let mut metric = Metric {
        name: "",
        points: 0,
        value: None,
    };
    for field in Fields(bytes) {
        match field? {
            (NAME, Content::Bytes(name)) => {
                metric.name = std::str::from_utf8(name).map_err(|_| NotOtlp)?;
            }
            (GAUGE | SUM, Content::Bytes(data)) => {
                for point in inner(Fields(data), DATA_POINTS) {
                    metric.points += 1;
                    metric.value = value(point?)?;
                }
            }
            _ => {}
        }
    }
    Ok(metric)
}

fn value(point: &[u8]) -> Result<Option<f64>, NotOtlp> {
    let mut value = None;
    for field in Fields(point) {
        match field? {
            (AS_DOUBLE, Content::Fixed64(bits)) => value = Some(f64::from_bits(bits)),
            (AS_INT, Content::Fixed64(bits)) => value = Some(bits as i64 as f64),
            _ => {}
        }
    }
    Ok(value)
}

/// The fields of a protobuf message; ends after the first error.
struct Fields<'a>(&'a [u8]);

enum Content<'a> {
    Bytes(&'a [u8]),
    Fixed64(u64),
    Other,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Content<'a>), NotOtlp>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or(NotOtlp);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Content<'a>)> {
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => {
                self.varint()?;
                Content::Other
            }
            1 => Content::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Content::Bytes(self.take(len)?)
            }
            5 => {
                self.take(4)?;
                Content::Other
            }
            _ => return None,
        };
        Some((tag >> 3, content))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }
}

#[cfg(test)]
mod tests;
