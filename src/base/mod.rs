//! What every other module may use; imports nothing of ours.

pub mod address;
pub mod audit;
pub mod backoff;
pub mod client_address;
pub mod clock;
pub mod driver_name;
pub mod id;
pub mod jwk;
pub mod limits;
pub mod metered;
pub mod origin;
pub mod places;
pub mod problem;
pub mod rate;
pub mod repeat;
pub mod rng;
pub mod secret;
pub mod tasks;
pub mod traces;
pub mod websocket;
