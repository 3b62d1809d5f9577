//! The ServerType resource, and the labels, port names and annotations that servers and the operator share.
