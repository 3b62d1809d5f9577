//! What a person at a terminal sees below the lines: a few rows that are always as the game is now.
//!
//! [`show`] follows the game, `panel` turns what is known into rows, and [`Screen`] keeps them below the lines, with nothing
//! to restore at the end. Elsewhere than on a terminal there are just the lines.

mod live;
mod panel;
mod screen;

#[cfg(test)]
mod tests;

pub(super) use self::{
    live::show,
    screen::{CLEAR, Screen},
};
