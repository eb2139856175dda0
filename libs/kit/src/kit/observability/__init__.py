"""How a service shows what it does: metrics, traces, logs, health."""
