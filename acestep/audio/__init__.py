"""Audio files and waveforms: reading any file as 48 kHz stereo, levels, and writing."""
