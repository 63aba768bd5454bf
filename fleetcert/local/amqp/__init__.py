"""An AMQP 1.0 server for asyncio, as far as Azure's messaging clients use the protocol (OASIS AMQP 1.0, 2012)."""
