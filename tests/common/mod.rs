//! What several black-box tests need: a broker of their own.

pub mod broker;
