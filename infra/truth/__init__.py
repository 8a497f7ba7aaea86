"""PermitBench: random plant-days with injected violations, fraud and nasty data, their truth beside them, and the scoring of whoever judged them."""
