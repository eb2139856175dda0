"""Every query of the service, by the use it serves. Rows come back as plain dictionaries."""
