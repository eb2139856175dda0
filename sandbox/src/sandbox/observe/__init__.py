"""`make observe`: a local Prometheus, the committed dashboards and traces beside a running stack, on loopback only."""
