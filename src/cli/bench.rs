//! `max-auth bench`: how much a waiting and a finished login cost.
