"""Pictures of the dashboards, as a real run looks in them."""
