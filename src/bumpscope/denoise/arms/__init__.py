"""Denoisers with an inductive bias each, made of the UNet or of its blocks; docs/factorise.md compares them."""
