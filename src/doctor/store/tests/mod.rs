//! Judgements by tables, and real servers.
