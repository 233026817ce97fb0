//! Record batches where they lie: views, validation, compression, building, control records.
