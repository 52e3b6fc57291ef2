"""How a service runs: settings, logging, the snapshot it serves, events, metrics, signals."""
