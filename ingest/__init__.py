"""The left edge: everything that touches a wire."""
