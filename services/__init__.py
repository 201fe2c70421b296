"""Tertulia: one package a service, one language between them (docs/architecture.md)."""
