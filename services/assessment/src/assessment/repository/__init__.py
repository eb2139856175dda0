"""Every query of the service, by the use it serves."""
