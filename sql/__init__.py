"""The shelves: ClickHouse's schema, the questions asked of it, the store, and the embedded server."""
