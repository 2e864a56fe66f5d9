"""What this machine is and has: cards, CUDA libraries, threads, processor, memory, packages."""
