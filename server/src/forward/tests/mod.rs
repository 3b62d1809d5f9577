//! Both halves, each against a server whose part the test plays, over links that are cut and refuse as the test says.

mod flow;
mod incoming;
mod remote;
mod user_call;
