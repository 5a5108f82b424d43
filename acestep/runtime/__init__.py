"""How models are loaded and run: device, dtype, environment variables, offloading, quantization, compilation."""
