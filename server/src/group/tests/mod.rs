//! Channels: what is delivered, what is told to others, and each race between the two.

mod confirm;
mod delivery;
mod farewells;
mod members;
mod model;
mod races;
mod support;
