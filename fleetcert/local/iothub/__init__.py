"""IoT Hub on the wire: identities, twins, cloud-to-device messages, sessions over MQTT and the service REST API."""
