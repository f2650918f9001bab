"""Polite visits to web sites, for those who agree to their terms."""
