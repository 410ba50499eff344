//! The order of services: which must be done before which.
