"""How it runs: the command, the Kafka node, a plant in a box. Nobody imports this room."""
