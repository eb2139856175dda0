"""How services are asked and how they answer: routes, identity, problems."""
