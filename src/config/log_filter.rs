//! What is logged, as an operator writes it: a level, and levels of parts of the program that differ from it.
use tracing_subscriber::filter::{LevelFilter, Targets};

/// What goes on inside the database is not for operators, unless they ask for it by name. What is sent to a web service,
/// and comes from it, holds secrets.
const QUIET: [&str; 5] = ["fjall", "lsm_tree", "ureq", "ureq_proto", "rustls"];

/// A word that is no level.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{word}\" is no log level; {}", NoLogLevel::FIX)]
pub struct NoLogLevel {
    pub word: String,
}

impl NoLogLevel {
    pub const FIX: &str = "choose error, warn, info, debug, trace or off";
}

/// The filter for `level`: levels, and `part=level`, parted by commas. Of several that concern a part the most particular
/// one holds.
///
/// # Errors
/// A word is no level, or there is none.
pub fn log_filter(level: &str) -> Result<Targets, NoLogLevel> {
    let mut filter = Targets::new().with_targets(QUIET.map(|part| (part, LevelFilter::WARN)));
    let mut is_empty = true;
    for directive in level.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (part, word) = match directive.split_once('=') {
            Some((part, word)) => (Some(part.trim_end()), word.trim_start()),
            None => (None, directive),
        };
        if part == Some("") {
            return Err(fault(directive));
        }
        let level: LevelFilter = word.parse().map_err(|_| fault(word))?;
        filter = match part {
            Some(part) => filter.with_target(part, level),
            None => filter.with_default(level),
        };
        is_empty = false;
    }
    if is_empty { Err(fault(level)) } else { Ok(filter) }
}

fn fault(word: &str) -> NoLogLevel {
    NoLogLevel { word: word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::filter::LevelFilter as Level;

    #[test]
    fn levels_and_parts_are_told_apart() {
        let filter = log_filter(" debug , vowmq::store = trace,,ureq=info").unwrap();
        for (target, level, is_logged) in [
            ("vowmq::server", Level::DEBUG, true),
            ("vowmq::server", Level::TRACE, false),
            ("vowmq::store::log", Level::TRACE, true),
            ("fjall::db", Level::INFO, false),
            ("fjall::db", Level::WARN, true),
            ("ureq", Level::INFO, true),
            ("ureq_proto", Level::INFO, false),
        ] {
            let asked = level.into_level().unwrap();
            assert_eq!(filter.would_enable(target, &asked), is_logged, "{target} {level}");
        }
        assert!(!log_filter("off").unwrap().would_enable("vowmq", &tracing::Level::ERROR));
    }

    #[test]
    fn a_word_that_is_no_level_is_named() {
        for (level, word) in [
            ("loud", "loud"),
            ("info,vowmq=loud", "loud"),
            ("=debug", "=debug"),
            ("", ""),
            (" , ", " , "),
            ("a=b=c", "b=c"),
        ] {
            let told = log_filter(level).unwrap_err();
            assert_eq!(told.word, word, "{level}");
        }
    }
}
