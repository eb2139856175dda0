"""Grafana dashboards as code: lists of panels in, committed JSON in `deploy/grafana` out."""
