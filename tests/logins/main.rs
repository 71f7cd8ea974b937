//! Who gets in, and how they are told that they do not: the program with authenticators, over real sockets.
mod bans;
mod clients;
mod exchanges;
mod passwords;
mod reloads;
mod services;
mod support;
mod tokens;
mod withdrawals;
