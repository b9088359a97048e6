"""Verdicts and numbers to figures and pages."""
