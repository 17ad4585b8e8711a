//! The Bot API and the phones beside it.
