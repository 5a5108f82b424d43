"""How models are loaded and run: device, number format, offloading, quantization, compilation."""
