"""An HTTP service for a network: a front that never computes, and processes that may die of a picture."""

MOST_PIXELS = 1 << 26  # 67 million: any telephone's photograph, and 200 MB once it is decoded
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WebP": "image/webp", "BMP": "image/bmp",
           "TIFF": "image/tiff"}
PICTURE = "picture"  # of the open protocol: the input of encoded pictures, beside the network's own
