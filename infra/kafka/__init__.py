"""The Kafka node of one machine: Apache Kafka itself, its jars by a lock of names and checksums, its JRE from a Python package."""
