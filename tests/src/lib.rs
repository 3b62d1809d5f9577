//! End-to-end tests of Cereus: the harness that drives real processes, an independent client, the conformance server.
