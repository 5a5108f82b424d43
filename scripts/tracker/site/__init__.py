"""The published site: the overview page, and asv's own pages made to work without a network."""
