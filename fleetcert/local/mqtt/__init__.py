"""An MQTT 3.1.1 server on asyncio, with QoS 0 and 1, that hands each connection to the service that claims it."""
