//! `max-auth emulate`: a stand-in for MAX, for people and for tests.
