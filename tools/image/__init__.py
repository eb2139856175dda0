"""Builds and starts the images of deploy/Dockerfile in plain directories, where there is no container engine."""
