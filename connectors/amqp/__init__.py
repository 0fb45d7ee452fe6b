"""AMQP 0-9-1: the queues of a broker that the hospital already has (RabbitMQ).

kombu blocks, so each connector talks to its broker in a thread of its own and exchanges small jobs with the event loop.
"""

from connectors.amqp.destination import AmqpDestination, AmqpDestinationSettings
from connectors.amqp.source import AmqpSource, AmqpSourceSettings

__all__ = ["AmqpDestination", "AmqpDestinationSettings", "AmqpSource", "AmqpSourceSettings"]
