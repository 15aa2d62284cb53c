//! The application's side of the control connection.
