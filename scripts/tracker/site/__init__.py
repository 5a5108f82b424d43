"""Publishes the site: the overview page, and asv's own pages, which also work without a network."""
