//! What an operator has to know about a translation.
use super::lines::Place;
use std::fmt::{self, Display, Write};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Mosquitto would not take it either, or not as it was meant.
    Mistake,
    /// It could not be kept as safe as it was, and is therefore shut.
    Shut,
    /// A door that stands open, as it did before.
    Open,
    /// There is nothing like it here.
    Missing,
    /// It is there, but works in another way.
    Differs,
    /// It is not needed any more.
    Needless,
}

impl Weight {
    const ALL: [Self; 6] = [Self::Mistake, Self::Shut, Self::Open, Self::Missing, Self::Differs, Self::Needless];

    fn heading(self) -> &'static str {
        match self {
            Self::Mistake => "Mistakes in the file, which were left out",
            Self::Shut => "Written, but commented out, as it would protect less than before",
            Self::Open => "Open to others, as before",
            Self::Missing => "Without an equivalent",
            Self::Differs => "Kept, but different",
            Self::Needless => "Not needed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub weight: Weight,
    /// Where it comes from; `None` if it comes from what is not written anywhere.
    pub place: Option<Place>,
    /// The option, or what it is about.
    pub about: String,
    pub text: String,
}

impl Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        write!(formatter, "{}: {}", self.about, self.text)
    }
}

#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub fn add(&mut self, weight: Weight, place: Option<&Place>, about: &str, text: impl Into<String>) {
        let finding = Finding { weight, place: place.cloned(), about: about.to_owned(), text: text.into() };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    /// Whether somebody has to look at it before the file can take Mosquitto's place.
    pub fn need_work(&self) -> bool {
        self.0.iter().any(|finding| finding.weight <= Weight::Shut)
    }

    /// All of it, the gravest first.
    pub fn report(&self) -> String {
        let mut report = String::new();
        for weight in Weight::ALL {
            let mut found = self.0.iter().filter(|finding| finding.weight == weight).peekable();
            if found.peek().is_some() {
                let _ = writeln!(report, "{}:", weight.heading());
                for finding in found {
                    let _ = writeln!(report, "  {finding}");
                }
            }
        }
        report
    }
}
