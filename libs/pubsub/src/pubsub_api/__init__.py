"""Salesforce's Pub/Sub API: generated messages (`pubsub_api_pb2`) and stubs (`pubsub_api_pb2_grpc`)."""
