"""A stand-in for a voice assistant: small enough to release in a second, real enough to be updated."""
