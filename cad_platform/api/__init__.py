"""The composed REST answers for hospital systems. No rules of its own: calls services and selectors."""
