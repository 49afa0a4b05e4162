"""vLLM: start a server (`server`) and ask it (`client`), beside the decoding of our own."""
