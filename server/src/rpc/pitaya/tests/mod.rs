mod calls;
mod texts;
mod vectors;
