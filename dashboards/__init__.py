"""The right edge: what people see, live from Kafka, with every number leading down to the raw event."""
