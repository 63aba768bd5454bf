"""The models that validate HTTP requests and shape HTTP answers."""
