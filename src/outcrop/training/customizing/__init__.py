"""Customization: a model that exists, trained further on records of one's own. A process of its own; knows no AWS."""
