//! The doctor against a server in this process, and against middles that spoil the line.
