mod backend;
mod frontend;
mod support;
