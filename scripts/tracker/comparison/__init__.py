"""Two commits side by side: built, measured in turns, judged, told and stored."""
