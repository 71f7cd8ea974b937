//! The vow at its lowest floor: what the delivery log answered for survives whatever happens to process, power and disk.
mod damage;
mod disk;
mod faults;
mod power;
mod reader;
mod salvage;
mod support;
