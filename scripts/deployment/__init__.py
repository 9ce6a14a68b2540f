"""Deployment of the suite, step by step: parameters, steps, checks, records and source verification."""
