"""A simulated Salesforce org: REST, OAuth, Pub/Sub and change events, as a process of its own."""
