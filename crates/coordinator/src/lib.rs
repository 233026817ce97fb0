//! Group coordination: requests in, records and answers out.
