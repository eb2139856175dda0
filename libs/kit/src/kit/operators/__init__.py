"""What operators ask a service, and what every request leaves for them."""
