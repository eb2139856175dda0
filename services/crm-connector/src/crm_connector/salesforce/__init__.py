"""The CRM is Salesforce: OAuth, REST with Composite Graph, and the Pub/Sub API."""
