"""The Device Provisioning Service: enrollments, attestation and registration, over REST and MQTT."""
