"""A small HTTP service: a page where a person drops a picture and sees what a network takes it for."""

MOST_PIXELS = 1 << 26  # 67 million: any telephone's photograph, and 200 MB once it is decoded
