"""RabbitMQ: confirmed publishing, and receiving by leases."""

from ringfence_sidecar.connectors.rabbitmq.connector import RabbitMQ

__all__ = ["RabbitMQ"]
